// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <tl/expected.hpp>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/printable.hpp"

/// Owners of libarchive's handles, and the failures that its callers return.
namespace rankexec::job {

struct FreeReader {
    void operator()(archive* handle) const noexcept { archive_read_free(handle); }
};
struct FreeWriter {
    void operator()(archive* handle) const noexcept { archive_write_free(handle); }
};
struct FreeEntry {
    void operator()(archive_entry* entry) const noexcept { archive_entry_free(entry); }
};
using ArchiveReader = std::unique_ptr<archive, FreeReader>;
using ArchiveWriter = std::unique_ptr<archive, FreeWriter>;
using ArchiveEntry = std::unique_ptr<archive_entry, FreeEntry>;

using Outcome = tl::expected<void, Failure>;

/// The last error of the handle, for people.
inline std::string error_of(archive* handle) {
    constexpr std::size_t kLongest = 300;
    const char* text = archive_error_string(handle);
    return text == nullptr ? "unknown error" : printable(text, kLongest);
}

/// The folder or the archive is at fault.
inline tl::unexpected<Failure> refused(std::string message) {
    Failure failure;
    failure.code = ReturnCode::bad_request_data;
    failure.message = std::move(message);
    return tl::unexpected(std::move(failure));
}

/// This machine is.
inline tl::unexpected<Failure> failed(std::string message) {
    Failure failure;
    failure.code = ReturnCode::execution_exception;
    failure.message = std::move(message);
    return tl::unexpected(std::move(failure));
}
inline tl::unexpected<Failure> failed(const std::string& what, const std::string& path, int error) {
    return failed(what + " " + path + ": " + std::generic_category().message(error));
}

/// A path out of an archive or a folder, for messages.
inline std::string shown(std::string_view path) {
    constexpr std::size_t kLongest = 200;
    return "\"" + printable(path, kLongest) + "\"";
}

}  // namespace rankexec::job
