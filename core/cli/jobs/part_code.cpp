// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/part_code.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "rankexec/core/cli/resolve_job.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;

/// Links followed: what a link in a bundle points to counts as where it points to.
fs::path real(const fs::path& path) {
    std::error_code error;
    auto result = fs::canonical(path, error);
    return error ? fs::absolute(path).lexically_normal() : result;
}

bool is_below(const fs::path& path, const fs::path& folder) {
    const auto mismatch = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return mismatch.first == folder.end() && mismatch.second != path.end();
}

void refuse(const fs::path& code, const std::string& why) { throw UnsafeComponent(code.string() + ": " + why); }

void check_bundle_code(const fs::path& code, const job::PartSetup& setup) {
    if (setup.bundle_code) return;
    refuse(code, "this site runs no code that comes with a job's bundle; have it installed there");
}

/// Whoever may write to it could have it do anything in our name.
void check_writers(const fs::path& library) {
    struct stat status {};
    if (::stat(library.c_str(), &status) == 0 && (status.st_mode & S_IWOTH) != 0) {
        refuse(library, "everybody may write to it; take that right away (chmod o-w)");
    }
}

}  // namespace

void check_program(const fs::path& program, const job::PartSetup& setup) {
    if (is_below(real(program), real(setup.workspace))) check_bundle_code(program, setup);
}

void check_library(const fs::path& library, const job::PartSetup& setup) {
    const auto path = real(library);
    check_writers(path);
    if (is_below(path, real(setup.workspace))) return check_bundle_code(library, setup);
    const auto folders = library_folders();
    const bool installed =
        std::ranges::any_of(folders, [&](const fs::path& folder) { return is_below(path, real(folder)); });
    if (!installed) refuse(library, "it is neither in the job's bundle nor among the libraries of this installation");
}

}  // namespace rankexec::cli
