// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <filesystem>

#include "rankexec/core/job/bundle/bundle_reader.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

// Names were found harmless before; these make libarchive look again, at what is on the disk. Its refusal of absolute
// paths is not among them: its paths begin with the folder, because a process has only one working directory.
constexpr int kFlags = ARCHIVE_EXTRACT_SECURE_SYMLINKS | ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_NO_OVERWRITE;

class DiskSink final : public EntrySink {
public:
    /// `folder` has no links on its way.
    explicit DiskSink(fs::path folder)
        : folder_(std::move(folder)), writer_(archive_write_disk_new()), entry_(archive_entry_new()) {
        archive_write_disk_set_options(writer_.get(), kFlags);
    }

    Outcome begin(const BundleEntry& entry) override {
        archive_entry_clear(entry_.get());
        path_ = (folder_ / entry.path).string();
        archive_entry_copy_pathname(entry_.get(), path_.c_str());
        switch (entry.kind) {
            case EntryKind::file:
                archive_entry_set_filetype(entry_.get(), AE_IFREG);
                archive_entry_set_perm(entry_.get(), entry.executable ? 0755 : 0644);
                archive_entry_set_size(entry_.get(), entry.size);
                break;
            case EntryKind::folder:
                archive_entry_set_filetype(entry_.get(), AE_IFDIR);
                archive_entry_set_perm(entry_.get(), 0755);
                break;
            case EntryKind::link:
                archive_entry_set_filetype(entry_.get(), AE_IFLNK);
                archive_entry_copy_symlink(entry_.get(), entry.target.c_str());
                break;
        }
        return check(archive_write_header(writer_.get(), entry_.get()));
    }

    Outcome data(std::span<const std::byte> part, std::int64_t offset) override {
        return check(static_cast<int>(archive_write_data_block(writer_.get(), part.data(), part.size(), offset)));
    }

    Outcome end() override { return check(archive_write_finish_entry(writer_.get())); }

    Outcome close() { return check(archive_write_close(writer_.get())); }

private:
    Outcome check(int code) {
        if (code == ARCHIVE_OK) return {};
        return failed("cannot unpack to " + path_ + ": " + error_of(writer_.get()));
    }

    const fs::path folder_;
    ArchiveWriter writer_;
    ArchiveEntry entry_;
    std::string path_;
};

Outcome unpack_into(const fs::path& archive, const fs::path& folder, const BundleLimits& limits) {
    std::error_code error;
    const auto real = fs::canonical(folder, error);
    if (error) return failed("cannot use", folder.string(), error.value());
    DiskSink sink(real);
    EntryTree tree(limits.max_entries);
    if (auto done = read_bundle(archive, limits, tree, sink); !done) return done;
    return sink.close();
}

void remove_content(const fs::path& folder) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) fs::remove_all(entry.path(), error);
}

}  // namespace

Outcome unpack_bundle(const fs::path& archive, const fs::path& folder, const BundleLimits& limits) {
    std::error_code error;
    const bool made = fs::create_directories(folder, error);
    if (error) return failed("cannot make", folder.string(), error.value());
    if (!made && !fs::is_empty(folder, error)) {
        return failed(folder.string() + " is not empty; give a folder of its own to each bundle");
    }
    auto done = unpack_into(archive, folder, limits);
    if (!done) {
        remove_content(folder);
        if (made) fs::remove(folder, error);
    }
    return done;
}

}  // namespace rankexec::job
