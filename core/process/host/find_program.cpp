// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "rankexec/core/process/host/guardian_client.hpp"

namespace rankexec {
namespace {

namespace fs = std::filesystem;

/// Where the code of this library lies: the library's folder, or the program's when linked into one.
fs::path own_folder() {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return {};
    std::error_code ignored;
    const auto file = fs::canonical(info.dli_fname, ignored);
    return file.parent_path();
}

std::vector<fs::path> places() {
    if (const char* wanted = std::getenv("RANKEXEC_PROGRAM_DIR"); wanted != nullptr && *wanted != '\0') return {wanted};
    const auto folder = own_folder();
    if (folder.empty()) return {};
    // The second pair serves library folders of one more level (lib/x86_64-linux-gnu).
    return {folder.parent_path() / "libexec" / "rankexec", folder.parent_path() / "bin",
            folder.parent_path().parent_path() / "libexec" / "rankexec", folder.parent_path().parent_path() / "bin",
            folder};
}

}  // namespace

tl::expected<std::string, Failure> find_program(const std::string& name) {
    std::string looked;
    for (const auto& place : places()) {
        std::error_code ignored;
        const auto file = fs::absolute(place / name, ignored).lexically_normal();
        if (::access(file.c_str(), X_OK) == 0 && fs::is_regular_file(file, ignored)) return file.string();
        looked += (looked.empty() ? "" : ", ") + file.parent_path().string();
    }
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "helper program '" + name + "' not found in " + (looked.empty() ? "any folder" : looked) +
                      "; install rankexec completely, or set RANKEXEC_PROGRAM_DIR to the folder that holds it";
    return tl::make_unexpected(std::move(failure));
}

}  // namespace rankexec
