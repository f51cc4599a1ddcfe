// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/resources.hpp"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
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
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20U;
constexpr std::size_t kArena = 64 * kMiB;
/// glibc asks for two arenas' addresses to get an aligned one and gives back the other; others need a little meanwhile.
constexpr std::size_t kSpare = kArena + 16 * kMiB;

std::size_t stack_size() {
    pthread_attr_t attributes;
    std::size_t size = 8 * kMiB;
    if (::pthread_attr_init(&attributes) != 0) return size;
    ::pthread_attr_getstacksize(&attributes, &size);
    ::pthread_attr_destroy(&attributes);
    return size;
}

std::size_t entries_of(const char* path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path), ::closedir);
    std::size_t count = 0;
    while (const auto* entry = directory ? ::readdir(directory.get()) : nullptr) {
        if (entry->d_name[0] != '.') ++count;
    }
    return count;
}

/// How many arenas there are, the first included: elements "heap" of malloc_info(3).
std::size_t arenas() {
    char* text = nullptr;
    std::size_t size = 0;
    auto* stream = ::open_memstream(&text, &size);
    if (stream == nullptr) return 1;
    const bool told = ::malloc_info(0, stream) == 0;
    std::fclose(stream);
    constexpr std::string_view kElement = "<heap ";
    std::size_t count = 0;
    const std::string_view document(text == nullptr ? "" : text);
    for (auto at = document.find(kElement); told && at != std::string_view::npos;
         at = document.find(kElement, at + 1)) {
        ++count;
    }
    std::free(text);
    return std::max<std::size_t>(count, 1);
}

/// How many arenas there can be: eight a core, or what the environment says (mallopt(3)).
std::size_t greatest_arenas() {
    std::size_t count = 0;
    if (const auto* variable = std::getenv("MALLOC_ARENA_MAX")) {
        const std::string_view text(variable);
        std::from_chars(text.data(), text.data() + text.size(), count);
    }
    return count > 0 ? count : 8 * static_cast<std::size_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

/// How many arenas so many more threads would add. Each of today's threads has one at most, the rest is free for them.
std::size_t more_arenas(std::size_t threads) {
    const auto present = arenas();
    const auto possible = std::max(greatest_arenas(), present) - present;
    const auto running = entries_of("/proc/self/task");
    const auto free = present > running ? present - running : 0;
    return std::min(threads > free ? threads - free : 0, possible);
}

}  // namespace

std::size_t available_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur == RLIM_INFINITY) return std::numeric_limits<std::size_t>::max();
    // Opening the directory takes a descriptor itself: none is seen when none is left.
    const auto seen = entries_of("/proc/self/fd");
    if (seen == 0) return 0;
    const auto open = seen - 1;
    const auto allowed = static_cast<std::size_t>(limit.rlim_cur);
    return allowed > open ? allowed - open : 0;
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

std::optional<std::string> lack_of_address_space(std::size_t threads) {
    const auto left = available_address_space();
    if (left == std::numeric_limits<std::size_t>::max()) return {};
    const auto needed = threads * stack_size() + more_arenas(threads) * kArena + kSpare;
    if (left >= needed) return {};
    return "only " + std::to_string(left / kMiB) + " MiB of address space are left, " + std::to_string(needed / kMiB) +
           " are needed for threads and their memory; raise the limit (ulimit -v)";
}

std::size_t available_memory() {
    std::ifstream file("/proc/meminfo");
    for (std::string line; std::getline(file, line);) {
        constexpr std::string_view kName = "MemAvailable:";
        if (line.starts_with(kName)) return std::stoull(line.substr(kName.size())) * 1024;
    }
    return std::numeric_limits<std::size_t>::max();
}

std::optional<std::string> lack_of_threads(std::size_t count) {
    if (auto lack = lack_of_address_space(count)) return lack;
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
    if (threads.size() == count) return {};
    return "no more threads can be started; raise the limit (ulimit -u)";
}

}  // namespace rankexec
