// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/bundle/bundle_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {
namespace {

constexpr std::size_t kBlockBytes = 64U * 1024;
constexpr unsigned kExecutable = 0111;

class Reading {
public:
    Reading(std::string file, const BundleLimits& limits, EntryTree& tree, EntrySink& sink)
        : file_(std::move(file)), limits_(limits), tree_(tree), sink_(sink) {}

    Outcome run(int fd) {
        handle_.reset(archive_read_new());
        if (!handle_) return failed("there is no memory to read " + file_);
        // Nothing but what pack_folder() writes: every other format is more code for a stranger's bytes to reach.
        archive_read_support_format_tar(handle_.get());
        archive_read_support_filter_gzip(handle_.get());
        if (archive_read_open_fd(handle_.get(), fd, kBlockBytes) != ARCHIVE_OK) return broken();
        archive_entry* entry = nullptr;
        while (true) {
            const int code = archive_read_next_header(handle_.get(), &entry);
            if (code == ARCHIVE_EOF) return is_gzip();
            if (code != ARCHIVE_OK) return broken();
            if (auto done = is_gzip(); !done) return done;
            if (auto done = take(entry); !done) return done;
        }
    }

private:
    tl::unexpected<Failure> broken() const {
        return refused(file_ + " is no whole bundle (a gzipped tar archive): " + error_of(handle_.get()));
    }
    tl::unexpected<Failure> refuse(std::string_view path, const std::string& why) const {
        return refused(file_ + " has an entry " + shown(path) + " that no bundle may have: " + why);
    }
    Outcome is_gzip() const {
        if (archive_filter_code(handle_.get(), 0) != ARCHIVE_FILTER_GZIP) {
            return refused(file_ + " is no bundle: it is not compressed with gzip");
        }
        return {};
    }

    Outcome take(archive_entry* raw) {
        const char* name = archive_entry_pathname(raw);
        if (name == nullptr) return refuse("?", "it has no name");
        BundleEntry entry;
        entry.path = trimmed(name);
        if (archive_entry_hardlink(raw) != nullptr) return refuse(name, "it is a hard link");
        const auto type = archive_entry_filetype(raw);
        if (entry.path.empty() && type == AE_IFDIR) return {};  // "./", as tar writes it
        if (const auto error = path_error(entry.path); !error.empty()) return refuse(name, error);
        switch (type) {
            case AE_IFREG: entry.kind = EntryKind::file; break;
            case AE_IFDIR: entry.kind = EntryKind::folder; break;
            case AE_IFLNK: entry.kind = EntryKind::link; break;
            default: return refuse(name, "it is neither a file nor a folder nor a link");
        }
        if (entry.kind == EntryKind::link) {
            const char* target = archive_entry_symlink(raw);
            entry.target = target == nullptr ? "" : target;
            const auto error = target_error(entry.path, entry.target);
            if (!error.empty()) return refuse(name, error);
        }
        if (const auto error = tree_.add(entry.path, entry.kind); !error.empty()) return refuse(name, error);
        if (entry.kind == EntryKind::file) {
            entry.executable = (archive_entry_perm(raw) & kExecutable) != 0;
            entry.size = archive_entry_size(raw);
            if (entry.size < 0 || entry.size > limits_.max_bytes - bytes_) return too_large();
            bytes_ += entry.size;
        }
        if (auto done = sink_.begin(entry); !done) return done;
        if (entry.kind == EntryKind::file) {
            if (auto done = content(entry); !done) return done;
        }
        return sink_.end();
    }

    Outcome content(const BundleEntry& entry) {
        while (true) {
            const void* part = nullptr;
            std::size_t size = 0;
            la_int64_t offset = 0;
            const int code = archive_read_data_block(handle_.get(), &part, &size, &offset);
            if (code == ARCHIVE_EOF) return {};
            if (code != ARCHIVE_OK) return broken();
            const bool within =
                offset >= 0 && offset <= entry.size && size <= static_cast<std::size_t>(entry.size - offset);
            if (!within) return refuse(entry.path, "it has more content than it says");
            auto done = sink_.data({static_cast<const std::byte*>(part), size}, offset);
            if (!done) return done;
        }
    }

    tl::unexpected<Failure> too_large() const {
        return refused("the content of " + file_ + " is larger than the limit of " + std::to_string(limits_.max_bytes) +
                       " bytes");
    }

    const std::string file_;
    const BundleLimits& limits_;
    EntryTree& tree_;
    EntrySink& sink_;
    ArchiveReader handle_;
    std::int64_t bytes_ = 0;  // of the files so far, as they say
};

}  // namespace

Outcome read_bundle(const std::filesystem::path& archive, const BundleLimits& limits, EntryTree& tree,
                    EntrySink& sink) {
    const UniqueFd opened(::open(archive.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat state {};
    if (!opened.valid() || ::fstat(opened.get(), &state) != 0) return failed("cannot open", archive.string(), errno);
    if (!S_ISREG(state.st_mode)) return refused(archive.string() + " is no regular file");
    if (state.st_size > limits.max_bytes) {
        return refused(archive.string() + " is larger than the limit of " + std::to_string(limits.max_bytes) +
                       " bytes");
    }
    return Reading(archive.string(), limits, tree, sink).run(opened.get());
}

}  // namespace rankexec::job
