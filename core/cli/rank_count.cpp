// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/rank_count.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>

#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec::cli {
namespace {

/// This command and the guardian. Whatever else runs counts, too, but may end.
constexpr std::int64_t kOwnProcesses = 2;

/// The first number in a file of the kernel; nothing when there is none ("max", or no such file).
std::int64_t number_in(const std::string& path) {
    std::ifstream file(path);
    std::int64_t number = 0;
    return file >> number ? number : std::numeric_limits<std::int64_t>::max();
}

/// This process's folder in the pids controller: the line "4:pids:/a/b" (version 1) or "0::/a/b".
std::string pids_max_file() {
    std::ifstream groups("/proc/self/cgroup");
    std::string unified;
    for (std::string line; std::getline(groups, line);) {
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const auto controllers = line.substr(first + 1, second - first - 1);
        const auto path = line.substr(second + 1);
        if (controllers == "pids") return "/sys/fs/cgroup/pids" + path + "/pids.max";
        if (controllers.empty()) unified = "/sys/fs/cgroup" + path + "/pids.max";
    }
    return unified;
}

void lower(ProcessLimit& limit, std::int64_t processes, const char* source) {
    if (processes < limit.processes) limit = {processes, source};
}

}  // namespace

tl::expected<int, std::string> check_rank_count(std::int64_t count) {
    if (count >= 1 && count <= wire::kMaxRanks) return static_cast<int>(count);
    return tl::unexpected(std::to_string(count) + " ranks cannot be started; give a number from 1 to " +
                          std::to_string(wire::kMaxRanks));
}

tl::expected<int, std::string> parse_rank_count(std::string_view text) {
    std::int64_t count = 0;
    const auto* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, count);
    if (error == std::errc() && stop == end) return check_rank_count(count);
    constexpr std::size_t kShown = 40;
    const std::string shown(text.substr(0, kShown));
    return tl::unexpected("'" + shown + (text.size() > kShown ? "..." : "") +
                          "' is not a number of ranks; give a whole number from 1 to " +
                          std::to_string(wire::kMaxRanks));
}

ProcessLimit process_limit() {
    ProcessLimit limit{number_in("/proc/sys/kernel/pid_max"), "kernel.pid_max"};
    lower(limit, number_in("/proc/sys/kernel/threads-max"), "kernel.threads-max");
    lower(limit, number_in(pids_max_file()), "the control group's pids.max");
    rlimit user{};
    // The kernel does not hold the superuser to it.
    if (::geteuid() != 0 && ::getrlimit(RLIMIT_NPROC, &user) == 0 && user.rlim_cur != RLIM_INFINITY) {
        lower(limit, static_cast<std::int64_t>(user.rlim_cur), "ulimit -u");
    }
    return limit;
}

tl::expected<void, std::string> check_fits(int ranks, const ProcessLimit& limit) {
    const auto needed = std::int64_t{ranks} + kOwnProcesses;
    if (needed <= limit.processes) return {};
    return tl::unexpected(std::to_string(ranks) + (ranks == 1 ? " rank needs " : " ranks need ") +
                          std::to_string(needed) + " processes, with this command and its guardian, but only " +
                          std::to_string(limit.processes) + " are allowed here (" + limit.source +
                          "); start fewer ranks or raise it");
}

}  // namespace rankexec::cli
