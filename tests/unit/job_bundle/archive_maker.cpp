// SPDX-License-Identifier: Apache-2.0
#include "archive_maker.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace rankexec::job {

ArchiveMaker::ArchiveMaker(const std::filesystem::path& file, Filter filter) : handle_(archive_write_new()) {
    archive_write_set_format_pax_restricted(handle_);
    if (filter == Filter::gzip) archive_write_add_filter_gzip(handle_);
    if (filter == Filter::bzip2) archive_write_add_filter_bzip2(handle_);
    EXPECT_EQ(archive_write_open_filename(handle_, file.c_str()), ARCHIVE_OK);
}

ArchiveMaker::~ArchiveMaker() { archive_write_free(handle_); }

ArchiveMaker& ArchiveMaker::file(const std::string& path, const std::string& content,
                                 const std::function<void(archive_entry*)>& change) {
    auto* entry = archive_entry_new();
    archive_entry_copy_pathname(entry, path.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(content.size()));
    if (change) change(entry);
    EXPECT_EQ(archive_write_header(handle_, entry), ARCHIVE_OK) << archive_error_string(handle_);
    archive_entry_free(entry);
    archive_write_data(handle_, content.data(), content.size());
    return *this;
}

ArchiveMaker& ArchiveMaker::folder(const std::string& path) {
    return file(path, "", [](archive_entry* entry) {
        archive_entry_set_filetype(entry, AE_IFDIR);
        archive_entry_set_perm(entry, 0755);
    });
}

ArchiveMaker& ArchiveMaker::link(const std::string& path, const std::string& target) {
    return file(path, "", [&](archive_entry* entry) {
        archive_entry_set_filetype(entry, AE_IFLNK);
        archive_entry_copy_symlink(entry, target.c_str());
    });
}

ArchiveMaker& ArchiveMaker::zeros(const std::string& path, std::int64_t size) {
    file(path, "", [&](archive_entry* entry) { archive_entry_set_size(entry, size); });
    const std::string block(std::size_t{1} << 20U, '\0');
    while (size > 0) {
        const auto part = std::min<std::int64_t>(size, static_cast<std::int64_t>(block.size()));
        EXPECT_EQ(archive_write_data(handle_, block.data(), static_cast<std::size_t>(part)), part);
        size -= part;
    }
    return *this;
}

}  // namespace rankexec::job
