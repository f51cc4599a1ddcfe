// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/run_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec {
namespace {

/// sockaddr_un holds 107 characters; what follows the directory needs the rest.
constexpr std::size_t kLongestDirectory = 80;
/// Of a random number's digits: enough that nobody can make all the names in advance.
constexpr std::size_t kNameLength = 16;
constexpr std::string_view kPrefix = "rx-";
/// Between the making of a directory and its lock; and the guardian of a host that died is at work this long.
constexpr std::chrono::seconds kAbandoned{30};

bool is_run_directory_name(std::string_view name) {
    return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kNameLength &&
           name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

tl::unexpected<Failure> launch_failure(std::string message) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = std::move(message);
    return tl::unexpected(std::move(failure));
}

constexpr std::array kVariables{"XDG_RUNTIME_DIR", "TMPDIR"};

std::vector<std::string> parents() {
    std::vector<std::string> found;
    for (const char* name : kVariables) {
        if (const char* value = std::getenv(name); value != nullptr && *value == '/') found.emplace_back(value);
    }
    found.emplace_back("/tmp");
    return found;
}

/// What helps where this directory does not serve.
std::string advice_on(const std::string& parent) {
    std::string variable = "TMPDIR";
    for (const char* name : kVariables) {
        const char* value = std::getenv(name);
        if (value != nullptr && value == parent) variable = name + (", which is " + parent + ",");
    }
    return "; set " + variable + " to a writable directory with a short path";
}

/// Empty, or why nothing can be made there.
std::string obstacle(const std::string& parent) {
    struct stat status {};
    if (::stat(parent.c_str(), &status) != 0) return std::generic_category().message(errno);
    if (!S_ISDIR(status.st_mode)) return std::generic_category().message(ENOTDIR);
    if (::access(parent.c_str(), W_OK | X_OK) != 0) return std::generic_category().message(errno);
    struct statvfs space {};
    // Some file systems count no inodes.
    const bool counted = ::statvfs(parent.c_str(), &space) == 0 && space.f_files != 0;
    if (counted && (space.f_bavail == 0 || space.f_favail == 0)) return std::generic_category().message(ENOSPC);
    return {};
}

}  // namespace

tl::expected<std::string, Failure> choose_run_directory() {
    const auto name = "/" + std::string(kPrefix) + random_run_id().substr(0, kNameLength);
    std::string tried;
    for (const auto& parent : parents()) {
        const auto path = parent + name;
        const auto why = path.size() > kLongestDirectory ? "too long a path for a socket" : obstacle(parent);
        if (why.empty()) {
            remove_abandoned_run_directories(parent, kAbandoned);
            return path;
        }
        tried.append(" ").append(parent).append(" (").append(why).append(")");
    }
    return launch_failure("no run directory could be made; tried" + tried +
                          "; set TMPDIR to a writable directory with a short path");
}

tl::expected<RunDirectory, Failure> RunDirectory::make(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0) {
        return launch_failure("the run directory " + path + " cannot be made: " +
                              std::generic_category().message(errno) + advice_on(path.substr(0, path.rfind('/'))));
    }
    UniqueFd lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    // Where a file system has no locks, others cannot take it for abandoned either.
    if (lock.valid()) ::flock(lock.get(), LOCK_SH | LOCK_NB);
    return RunDirectory(path, std::move(lock));
}

RunDirectory::~RunDirectory() {
    if (path_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

void remove_abandoned_run_directories(const std::string& parent, std::chrono::seconds age) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(parent, error)) {
        const std::string name = entry.path().filename();
        if (!is_run_directory_name(name)) continue;
        const UniqueFd folder(::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
        struct stat status {};
        if (!folder.valid() || ::fstat(folder.get(), &status) != 0 || status.st_uid != ::geteuid()) continue;
        const auto made = std::chrono::system_clock::from_time_t(status.st_mtime);
        if (std::chrono::system_clock::now() - made < age) continue;
        if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) continue;
        std::error_code ignored;
        std::filesystem::remove_all(entry.path(), ignored);
    }
}

}  // namespace rankexec
