// SPDX-License-Identifier: Apache-2.0
// Fuzz target of bundles: any bytes are unpacked into their folder and nowhere else, or refused with nothing left. The
// first byte says what the others are: "t" a tar archive, which is compressed here, since no mutation of compressed
// bytes gets far; else a file as it comes.
#include <archive.h>
#include <archive_entry.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostBytes = std::int64_t{1} << 20U;
constexpr std::int64_t kMostEntries = 200;

void require(bool holds) {
    if (!holds) std::abort();
}

std::vector<char> gzipped(const std::uint8_t* data, std::size_t size) {
    std::vector<char> memory(size + 4'096);
    std::size_t used = 0;
    auto* writer = archive_write_new();
    archive_write_set_format_raw(writer);
    archive_write_add_filter_gzip(writer);
    archive_write_set_filter_option(writer, "gzip", "compression-level", "0");
    require(archive_write_open_memory(writer, memory.data(), memory.size(), &used) == ARCHIVE_OK);
    auto* entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_copy_pathname(entry, "data");
    require(archive_write_header(writer, entry) == ARCHIVE_OK);
    archive_write_data(writer, data, size);
    archive_entry_free(entry);
    require(archive_write_close(writer) == ARCHIVE_OK);
    archive_write_free(writer);
    memory.resize(used);
    return memory;
}

/// What was unpacked stays where it is, whatever follows its links.
void check(const fs::path& folder) {
    std::int64_t entries = 0;
    std::int64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        ++entries;
        const auto type = entry.symlink_status().type();
        require(type == fs::file_type::regular || type == fs::file_type::directory || type == fs::file_type::symlink);
        if (type == fs::file_type::regular) {
            bytes += static_cast<std::int64_t>(entry.file_size());
            require((entry.status().permissions() & (fs::perms::set_uid | fs::perms::set_gid)) == fs::perms::none);
        }
        if (type != fs::file_type::symlink) continue;
        std::error_code error;
        const auto where = fs::weakly_canonical(entry.path(), error);
        if (error) continue;  // links in a circle
        const auto inside = where.lexically_relative(folder);
        require(!inside.empty() && *inside.begin() != "..");
    }
    require(entries <= kMostEntries && bytes <= kMostBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    static const auto base = [] {
        auto name = (fs::temp_directory_path() / "rankexec-fuzz-XXXXXX").string();
        require(::mkdtemp(name.data()) != nullptr);
        static const struct Remove {
            fs::path path;
            ~Remove() { fs::remove_all(path); }
        } remove{name};
        return fs::canonical(name);
    }();
    const auto content = data[0] == 't' ? gzipped(data + 1, size - 1) : std::vector<char>(data + 1, data + size);
    const rankexec::UniqueFd file(::memfd_create("bundle", MFD_CLOEXEC));
    require(::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    const auto archive = "/proc/self/fd/" + std::to_string(file.get());

    rankexec::job::BundleLimits limits;
    limits.max_bytes = kMostBytes;
    limits.max_entries = kMostEntries;
    const auto folder = base / "out";
    const auto unpacked = rankexec::job::unpack_bundle(archive, folder, limits);
    const auto inspected = rankexec::job::inspect_bundle(archive, limits);
    require(!inspected || unpacked);
    require(fs::exists(folder) == unpacked.has_value());
    if (unpacked) check(folder);
    fs::remove_all(folder);
    require(fs::is_empty(base));
    return 0;
}
