// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/remove_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string_view>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {
namespace {

/// Deeper trees are not ours; the bound keeps the stack small.
constexpr int kDepth = 64;
/// For a program that is being ended, and still puts files there. It may do so about as fast as they are removed: a
/// number of attempts would be few then.
constexpr std::chrono::seconds kPatience{5};

/// Empties the open folder; takes the descriptor.
int empty_folder(UniqueFd folder, dev_t device, int depth) {
    if (depth > kDepth) return ELOOP;
    const int fd = folder.get();
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(fd), ::closedir);
    if (!listing) return errno;
    static_cast<void>(folder.release());
    int first_error = 0;
    while (const auto* entry = ::readdir(listing.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (::unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT) continue;
        int error = errno;
        // A folder gives EISDIR, or EPERM as POSIX has it.
        UniqueFd inner(::openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        struct stat facts {};
        if (inner.valid() && ::fstat(inner.get(), &facts) == 0 && facts.st_dev == device) {
            error = empty_folder(std::move(inner), device, depth + 1);
            if (error == 0 && ::unlinkat(fd, entry->d_name, AT_REMOVEDIR) != 0 && errno != ENOENT) error = errno;
        }
        if (first_error == 0) first_error = error;
    }
    return first_error;
}

/// The folder and what was in it when it was looked at.
int remove_once(const std::string& folder) {
    UniqueFd top(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!top.valid()) return errno;
    struct stat facts {};
    if (::fstat(top.get(), &facts) != 0) return errno;
    constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
    if (facts.st_uid != ::geteuid() || (facts.st_mode & kOthers) != 0) return EPERM;
    const int error = empty_folder(std::move(top), facts.st_dev, 0);
    if (error != 0) return error;
    return ::rmdir(folder.c_str()) == 0 ? 0 : errno;
}

}  // namespace

int remove_tree(const std::string& named) {
    // A trailing slash would make open() follow a link.
    const std::string folder = named.substr(0, named.find_last_not_of('/') + 1);
    if (folder.empty() || folder.front() != '/') return EINVAL;
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    int error = ENOTEMPTY;
    while (error == ENOTEMPTY && std::chrono::steady_clock::now() < deadline) error = remove_once(folder);
    return error;
}

}  // namespace rankexec::process
