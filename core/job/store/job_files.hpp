// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/model/value.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {

/// The files of a store's jobs: one folder for each kind, a file per job in it. A file is staged first, whole, and then
/// published under its name at once and synced, so that no moment shows half of it. Any thread; what a job's files are
/// is the store's decision, which publishes and removes under its own lock.
class JobFiles {
public:
    enum class Kind : std::uint8_t { bundle, workspace, snapshot };
    static constexpr std::array kKinds{Kind::bundle, Kind::workspace, Kind::snapshot};

    /// A file that is no job's yet; is gone with this object.
    class Staged {
    public:
        Staged(std::filesystem::path path, UniqueFd file, std::int64_t size)
            : path_(std::move(path)), file_(std::move(file)), size_(size) {}
        Staged(Staged&& other) noexcept
            : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)), size_(other.size_) {}
        Staged& operator=(Staged&&) = delete;
        ~Staged();
        [[nodiscard]] std::int64_t size() const noexcept { return size_; }

    private:
        friend class JobFiles;
        std::filesystem::path path_;
        UniqueFd file_;
        std::int64_t size_;
    };

    /// Makes the folders. Without an error() it is usable.
    explicit JobFiles(std::filesystem::path directory);
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

    static constexpr std::int64_t kAnySize = std::numeric_limits<std::int64_t>::max();
    /// By a link where the file system allows it, else by copying. StoreError: refused (larger than `most`, no
    /// regular file), unusable.
    [[nodiscard]] Stored<Staged> stage(const std::filesystem::path& source, std::int64_t most) const;
    [[nodiscard]] Stored<Staged> stage(const Bytes& content) const;
    /// Replaces the one that is there; of a bundle there is none.
    [[nodiscard]] Stored<void> publish(Staged staged, const std::string& id, Kind kind) const;

    [[nodiscard]] std::filesystem::path path(const std::string& id, Kind kind) const;
    [[nodiscard]] bool exists(const std::string& id, Kind kind) const;
    /// Nothing, when there is none.
    [[nodiscard]] Stored<std::optional<Bytes>> read(const std::string& id, Kind kind) const;
    void remove(const std::string& id, Kind kind) const;
    void remove_all_of(const std::string& id) const;

    /// What a process that was killed has left: removes the staged files, and those of a kind whose job is not among
    /// `ids`.
    void sweep_staged() const;
    void sweep(Kind kind, const std::set<std::string>& ids) const;

private:
    /// Before the store's lock is taken: publish() then has little left to sync.
    [[nodiscard]] static Stored<Staged> synced_when_large(Staged staged);
    [[nodiscard]] std::filesystem::path folder(Kind kind) const;
    [[nodiscard]] std::filesystem::path new_staged_path() const;

    std::filesystem::path directory_;
    std::string error_;
};

/// 32 random hexadecimal digits.
[[nodiscard]] std::string random_id();

}  // namespace rankexec::job
