// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/descriptors.hpp"

#include <dirent.h>
#include <sys/resource.h>

#include <limits>
#include <memory>

namespace rankexec {

std::size_t available_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<std::size_t>::max();
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc/self/fd"), ::closedir);
    // Opening the directory takes a descriptor itself: failing to means that none is left.
    if (!directory) return 0;
    std::size_t open = 0;
    while (const auto* entry = ::readdir(directory.get())) {
        if (entry->d_name[0] != '.') ++open;
    }
    const auto allowed = static_cast<std::size_t>(limit.rlim_cur);
    return allowed > open - 1 ? allowed - (open - 1) : 0;
}

}  // namespace rankexec
