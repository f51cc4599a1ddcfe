// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/job_files.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStaging = "staging";
constexpr std::int64_t kLarge = std::int64_t{1} << 20U;

const char* folder_name(JobFiles::Kind kind) {
    switch (kind) {
        case JobFiles::Kind::bundle: return "bundles";
        case JobFiles::Kind::workspace: return "workspaces";
        case JobFiles::Kind::snapshot: return "snapshots";
    }
    return "";
}

const char* suffix(JobFiles::Kind kind) { return kind == JobFiles::Kind::snapshot ? "" : ".tar.gz"; }

tl::unexpected<StoreError> unusable(const std::string& what, const fs::path& path, int error) {
    return tl::unexpected(StoreError{
        StoreError::Kind::unusable, what + " " + path.string() + ": " + std::generic_category().message(error), {}});
}

tl::unexpected<StoreError> refused(std::string message) {
    return tl::unexpected(StoreError{StoreError::Kind::refused, std::move(message), {}});
}

UniqueFd open_file(const fs::path& path, int flags, mode_t mode = 0) {
    return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, mode));
}

/// Links the file that is open, whatever its name means by now.
bool link_open_file(const UniqueFd& file, const fs::path& target) {
    const auto source = "/proc/self/fd/" + std::to_string(file.get());
    return ::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, target.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

/// errno of what went wrong; 0: nothing.
int write_all(const UniqueFd& target, const std::byte* data, std::size_t size) {
    while (size > 0) {
        const auto written = ::write(target.get(), data, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return errno;
        data += written;
        size -= static_cast<std::size_t>(written);
    }
    return 0;
}

/// As above. Never copies more than `most` and a block, however the source grows meanwhile.
int copy_all(const UniqueFd& source, const UniqueFd& target, std::int64_t most, std::int64_t& copied) {
    std::vector<std::byte> block(std::size_t{1} << 20U);
    while (copied <= most) {
        const auto got = ::read(source.get(), block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return 0;
        if (const int error = write_all(target, block.data(), static_cast<std::size_t>(got)); error != 0) return error;
        copied += got;
    }
    return 0;
}

int sync_folder(const fs::path& folder) {
    const auto opened = open_file(folder, O_RDONLY | O_DIRECTORY);
    return opened.valid() && ::fsync(opened.get()) == 0 ? 0 : errno;
}

std::string too_large(const fs::path& source, std::int64_t most) {
    return source.string() + " is larger than the limit of " + std::to_string(most) + " bytes";
}

}  // namespace

std::string random_id() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw std::runtime_error("the system gives no random numbers");
    }
    std::string text;
    for (const auto byte : bytes) {
        text += "0123456789abcdef"[byte >> 4U];
        text += "0123456789abcdef"[byte & 15U];
    }
    return text;
}

JobFiles::Staged::~Staged() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

JobFiles::JobFiles(fs::path directory) : directory_(std::move(directory)) {
    std::error_code error;
    // Bundles and results are the submitters' own; a folder that is there already is as somebody wanted it.
    if (fs::create_directories(directory_, error)) fs::permissions(directory_, fs::perms::owner_all, error);
    for (const auto kind : kKinds) {
        if (!error) fs::create_directory(folder(kind), error);
    }
    if (!error) fs::create_directory(directory_ / kStaging, error);
    if (error) error_ = "cannot make the store's folders in " + directory_.string() + ": " + error.message();
}

fs::path JobFiles::folder(Kind kind) const { return directory_ / folder_name(kind); }

fs::path JobFiles::path(const std::string& id, Kind kind) const { return folder(kind) / (id + suffix(kind)); }

fs::path JobFiles::new_staged_path() const { return directory_ / kStaging / random_id(); }

Stored<JobFiles::Staged> JobFiles::stage(const fs::path& source, std::int64_t most) const {
    // Opening a FIFO would wait for its other end.
    auto opened = open_file(source, O_RDONLY | O_NONBLOCK);
    if (!opened.valid()) return unusable("cannot open", source, errno);
    struct stat state {};
    if (::fstat(opened.get(), &state) != 0) return unusable("cannot look at", source, errno);
    if (!S_ISREG(state.st_mode)) return refused(source.string() + " is no regular file");
    if (state.st_size > most) return refused(too_large(source, most));

    const auto path = new_staged_path();
    if (link_open_file(opened, path)) return synced_when_large({path, std::move(opened), state.st_size});
    auto target = open_file(path, O_WRONLY | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
    if (!target.valid()) return unusable("cannot make", path, errno);
    Staged staged(path, std::move(target), 0);
    if (const int error = copy_all(opened, staged.file_, most, staged.size_); error != 0) {
        return unusable("cannot copy to", path, error);
    }
    if (staged.size_ > most) return refused(too_large(source, most));
    return synced_when_large(std::move(staged));
}

Stored<JobFiles::Staged> JobFiles::stage(const Bytes& content) const {
    const auto path = new_staged_path();
    auto target = open_file(path, O_WRONLY | O_CREAT | O_EXCL, S_IRUSR | S_IWUSR);
    if (!target.valid()) return unusable("cannot make", path, errno);
    Staged staged(path, std::move(target), static_cast<std::int64_t>(content.size()));
    if (const int error = write_all(staged.file_, content.data(), content.size()); error != 0) {
        return unusable("cannot write", path, error);
    }
    return synced_when_large(std::move(staged));
}

Stored<JobFiles::Staged> JobFiles::synced_when_large(Staged staged) {
    if (staged.size_ < kLarge) return staged;
    if (::fsync(staged.file_.get()) != 0) return unusable("cannot sync", staged.path_, errno);
    return staged;
}

Stored<void> JobFiles::publish(Staged staged, const std::string& id, Kind kind) const {
    const auto target = path(id, kind);
    // What replaces a file is whole on the disk before. Nothing knows of a bundle until it is: so its content, its name
    // and its folder go there together, which takes a journal's commit instead of three.
    if (kind != Kind::bundle && ::fsync(staged.file_.get()) != 0) return unusable("cannot sync", target, errno);
    // Two names of one file: then rename does nothing, and the staged one stays for ~Staged.
    if (::rename(staged.path_.c_str(), target.c_str()) != 0) return unusable("cannot make", target, errno);
    if (kind == Kind::bundle && ::fsync(staged.file_.get()) != 0) return unusable("cannot sync", target, errno);
    if (const int error = sync_folder(folder(kind)); error != 0) return unusable("cannot sync", folder(kind), error);
    return {};
}

bool JobFiles::exists(const std::string& id, Kind kind) const {
    std::error_code error;
    return fs::exists(path(id, kind), error);
}

Stored<std::optional<Bytes>> JobFiles::read(const std::string& id, Kind kind) const {
    const auto file = path(id, kind);
    const auto opened = open_file(file, O_RDONLY);
    if (!opened.valid() && errno == ENOENT) return std::nullopt;
    struct stat state {};
    if (!opened.valid() || ::fstat(opened.get(), &state) != 0) return unusable("cannot open", file, errno);
    Bytes content(static_cast<std::size_t>(state.st_size));
    std::size_t filled = 0;
    while (filled < content.size()) {
        const auto got = ::read(opened.get(), content.data() + filled, content.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return unusable("cannot read", file, errno);
        if (got == 0) return unusable("cannot read to its end", file, EIO);
        filled += static_cast<std::size_t>(got);
    }
    return content;
}

void JobFiles::remove(const std::string& id, Kind kind) const { ::unlink(path(id, kind).c_str()); }

void JobFiles::remove_all_of(const std::string& id) const {
    for (const auto kind : kKinds) remove(id, kind);
}

void JobFiles::sweep_staged() const {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory_ / kStaging, error)) fs::remove(entry.path(), error);
}

void JobFiles::sweep(Kind kind, const std::set<std::string>& ids) const {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder(kind), error)) {
        auto name = entry.path().filename().string();
        if (name.ends_with(suffix(kind))) name.resize(name.size() - std::string_view(suffix(kind)).size());
        if (!ids.contains(name)) fs::remove(entry.path(), error);
    }
}

}  // namespace rankexec::job
