// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/resources.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <exception>
#include <fstream>
#include <latch>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

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

std::size_t available_address_space() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return std::numeric_limits<std::size_t>::max();
    }
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const auto taken = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto allowed = static_cast<std::size_t>(limit.rlim_cur);
    return allowed > taken ? allowed - taken : 0;
}

std::size_t available_memory() {
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        constexpr std::string_view kName = "MemAvailable:";
        if (line.starts_with(kName)) return std::stoull(line.substr(kName.size())) * 1024;
    }
    return std::numeric_limits<std::size_t>::max();
}

bool can_start_threads(std::size_t count) {
    std::vector<std::thread> threads;
    std::latch all(1);
    try {
        threads.reserve(count);
        for (std::size_t index = 0; index < count; ++index) threads.emplace_back([&all] { all.wait(); });
    } catch (const std::exception&) {
        // Memory for the stack, or the limit of processes; counted below.
    }
    all.count_down();
    for (auto& thread : threads) thread.join();
    return threads.size() == count;
}

}  // namespace rankexec
