// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>

#include "rankexec/core/job/bundle/archive_handle.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/bundle/entry_rules.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostListed = 100;
constexpr mode_t kExecutable = 0111;

/// Depth first, by name, except that job.toml comes first: who looks for it reads no more than it must.
std::vector<std::string> names_in(const fs::path& folder, bool top, std::error_code& error) {
    std::vector<std::string> names;
    for (fs::directory_iterator next(folder, error), end; !error && next != end; next.increment(error)) {
        names.push_back(next->path().filename().string());
    }
    std::sort(names.begin(), names.end(), [&](const std::string& left, const std::string& right) {
        const auto rank = [&](const std::string& name) { return top && name == kDefinitionFile ? 0 : 1; };
        return std::pair(rank(left), left) < std::pair(rank(right), right);
    });
    return names;
}

class Packing {
public:
    Packing(fs::path folder, std::string archive, const PackOptions& options)
        : folder_(std::move(folder)),
          archive_(std::move(archive)),
          options_(options),
          tree_(options.limits.max_entries),
          writer_(archive_write_new()),
          entry_(archive_entry_new()) {}

    tl::expected<PackedFolder, Failure> run(int fd) {
        struct stat own {};
        if (::fstat(fd, &own) != 0) return failed("cannot look at", archive_, errno);
        own_ = {own.st_dev, own.st_ino};
        archive_write_set_format_gnutar(writer_.get());
        archive_write_add_filter_gzip(writer_.get());
        // Equal folders give equal archives. Models hardly shrink, so little time is spent on it.
        archive_write_set_filter_option(writer_.get(), "gzip", "timestamp", nullptr);
        archive_write_set_filter_option(writer_.get(), "gzip", "compression-level", "1");
        if (archive_write_open_fd(writer_.get(), fd) != ARCHIVE_OK) return cannot_write();
        if (auto done = add_folder(""); !done) return tl::unexpected(std::move(done.error()));
        if (archive_write_close(writer_.get()) != ARCHIVE_OK) return cannot_write();
        struct stat state {};
        if (::fstat(fd, &state) != 0) return failed("cannot look at", archive_, errno);
        if (state.st_size > options_.limits.max_bytes) return too_large();
        packed_.bytes = state.st_size;
        packed_.entries = tree_.size();
        return std::move(packed_);
    }

private:
    tl::unexpected<Failure> cannot_write() const {
        return failed("cannot write " + archive_ + ": " + error_of(writer_.get()));
    }
    tl::unexpected<Failure> too_large() const {
        return refused(folder_.string() + " is larger than the limit of " + std::to_string(options_.limits.max_bytes) +
                       " bytes");
    }

    Outcome odd(const std::string& path, const std::string& why) {
        if (options_.odd == PackOptions::Odd::refused) {
            return refused(shown(path) + " in " + folder_.string() + " cannot be in a bundle: " + why);
        }
        if (packed_.left_out.size() < kMostListed) packed_.left_out.push_back(shown(path) + ": " + why);
        return {};
    }

    Outcome add_folder(const std::string& path) {
        std::error_code error;
        const auto names = names_in(folder_ / path, path.empty(), error);
        if (error) {
            if (path.empty()) return failed("cannot read", folder_.string(), error.value());
            return odd(path, "cannot be read: " + error.message());
        }
        for (const auto& name : names) {
            if (auto done = add(path.empty() ? name : path + "/" + name); !done) return done;
        }
        return {};
    }

    Outcome add(const std::string& path) {
        const auto file = folder_ / path;
        struct stat state {};
        if (::lstat(file.c_str(), &state) != 0) return odd(path, std::generic_category().message(errno));
        if (own_ == std::pair(state.st_dev, state.st_ino)) return {};
        if (tree_.size() >= options_.limits.max_entries) {
            return odd(path, "there are more than " + std::to_string(options_.limits.max_entries) + " entries");
        }
        if (const auto error = path_error(path); !error.empty()) return odd(path, error);
        if (S_ISDIR(state.st_mode)) {
            if (auto done = header(path, EntryKind::folder, 0, 0755); !done) return done;
            return add_folder(path);
        }
        if (S_ISLNK(state.st_mode)) return add_link(path, file);
        if (S_ISREG(state.st_mode)) return add_file(path, file);
        return odd(path, "it is neither a file nor a folder nor a link");
    }

    Outcome add_link(const std::string& path, const fs::path& file) {
        std::error_code error;
        link_ = fs::read_symlink(file, error).string();
        if (error) return odd(path, error.message());
        if (const auto why = target_error(path, link_); !why.empty()) return odd(path, why + "; copy what it leads to");
        return header(path, EntryKind::link, 0, 0777);
    }

    Outcome add_file(const std::string& path, const fs::path& file) {
        // It may have become something else by now.
        const UniqueFd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        struct stat state {};
        if (!opened.valid() || ::fstat(opened.get(), &state) != 0) {
            return odd(path, "cannot be read: " + std::generic_category().message(errno));
        }
        if (!S_ISREG(state.st_mode)) return odd(path, "it was replaced while it was read");
        if (state.st_size > options_.limits.max_bytes - content_bytes_) return too_large();
        content_bytes_ += state.st_size;
        const bool executable = (state.st_mode & kExecutable) != 0;
        if (auto done = header(path, EntryKind::file, state.st_size, executable ? 0755 : 0644); !done) return done;
        return content(path, opened, state.st_size);
    }

    /// As many bytes as its header says: what it grows by meanwhile is not there, what it lacks are zeros.
    Outcome content(const std::string& path, const UniqueFd& file, std::int64_t size) {
        while (size > 0) {
            const auto got = ::read(file.get(), block_.data(), std::min<std::size_t>(block_.size(), size));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return failed("cannot read", (folder_ / path).string(), errno);
            if (got == 0) return odd(path, "it became shorter while it was read");
            if (archive_write_data(writer_.get(), block_.data(), static_cast<std::size_t>(got)) != got) {
                return cannot_write();
            }
            size -= got;
        }
        return {};
    }

    Outcome header(const std::string& path, EntryKind kind, std::int64_t size, unsigned mode) {
        if (const auto error = tree_.add(path, kind); !error.empty()) {
            return refused(folder_.string() + " cannot be packed: " + error);
        }
        auto* entry = archive_entry_clear(entry_.get());
        archive_entry_copy_pathname(entry, path.c_str());
        const auto type = kind == EntryKind::file ? AE_IFREG : kind == EntryKind::folder ? AE_IFDIR : AE_IFLNK;
        archive_entry_set_filetype(entry, type);
        archive_entry_set_perm(entry, mode);
        archive_entry_set_size(entry, size);
        archive_entry_set_mtime(entry, 0, 0);
        if (kind == EntryKind::link) archive_entry_copy_symlink(entry, link_.c_str());
        if (archive_write_header(writer_.get(), entry) != ARCHIVE_OK) return cannot_write();
        return {};
    }

    const fs::path folder_;
    const std::string archive_;
    const PackOptions& options_;
    EntryTree tree_;
    ArchiveWriter writer_;
    ArchiveEntry entry_;
    std::pair<dev_t, ino_t> own_;  // the archive, which may lie in the folder
    std::int64_t content_bytes_ = 0;
    std::string link_;
    std::array<char, 64U * 1024> block_{};
    PackedFolder packed_;
};

}  // namespace

tl::expected<PackedFolder, Failure> pack_folder(const fs::path& folder, const fs::path& archive,
                                                const PackOptions& options) {
    // Under another name until it is whole.
    const auto part = archive.string() + ".part";
    UniqueFd file(::open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return failed("cannot make", part, errno);
    const auto packing = std::make_unique<Packing>(folder, archive.string(), options);
    auto packed = packing->run(file.get());
    if (packed && ::rename(part.c_str(), archive.c_str()) != 0) packed = failed("cannot make", archive.string(), errno);
    if (!packed) {
        ::unlink(part.c_str());
        ::unlink(archive.c_str());
    }
    return packed;
}

}  // namespace rankexec::job
