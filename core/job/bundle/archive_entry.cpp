// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/bundle/archive_entry.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <new>

namespace rankexec::job {

tl::expected<std::string, std::string> read_from_archive(const std::filesystem::path& archive, std::string_view name,
                                                         std::size_t most_bytes) {
    constexpr std::size_t kBlock = std::size_t{64} << 10U;
    const std::unique_ptr<struct archive, int (*)(struct archive*)> reader(archive_read_new(), archive_read_free);
    if (!reader) throw std::bad_alloc();
    archive_read_support_format_tar(reader.get());
    archive_read_support_filter_gzip(reader.get());
    const auto failed = [&] {
        const char* const why = archive_error_string(reader.get());
        return tl::unexpected(archive.string() + ": " + (why == nullptr ? "cannot be read" : why));
    };
    if (archive_read_open_filename(reader.get(), archive.c_str(), kBlock) != ARCHIVE_OK) return failed();
    struct archive_entry* entry = nullptr;
    int result = ARCHIVE_OK;
    while ((result = archive_read_next_header(reader.get(), &entry)) == ARCHIVE_OK) {
        const char* const path = archive_entry_pathname(entry);
        std::string_view found = path == nullptr ? "" : path;
        if (found.starts_with("./")) found.remove_prefix(2);
        if (found != name) continue;
        if (std::cmp_greater(archive_entry_size(entry), most_bytes)) {
            return tl::unexpected(std::string(name) + " has more than " + std::to_string(most_bytes) + " bytes");
        }
        std::string content(static_cast<std::size_t>(archive_entry_size(entry)), '\0');
        const auto size = archive_read_data(reader.get(), content.data(), content.size());
        if (size < 0) return failed();
        content.resize(static_cast<std::size_t>(size));
        return content;
    }
    if (result != ARCHIVE_EOF) return failed();
    return tl::unexpected("it holds no " + std::string(name));
}

}  // namespace rankexec::job
