// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/process_table.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string_view>

#include "rankexec/core/process/foreign_proc.hpp"
#include "rankexec/core/system/listed_pid.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {
namespace {

/// Flags in /proc/PID/stat, from the kernel's include/linux/sched.h.
constexpr std::uint64_t kExiting = 0x4;
constexpr std::uint64_t kKernelThread = 0x200000;

/// Enough for any real environment; what lies beyond is not looked at.
constexpr std::size_t kEnvironmentBytes = std::size_t{4} << 20U;

/// Nothing when the file cannot be opened.
std::optional<std::string> read_file(const std::string& path, std::size_t limit) {
    std::string content;
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file.valid()) return std::nullopt;
    std::array<char, 16384> buffer;
    while (content.size() < limit) {
        const auto size = ::read(file.get(), buffer.data(), buffer.size());
        if (size <= 0) break;
        content.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return content;
}

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// The fields after the command name, which is in parentheses and may hold anything, ")" included.
/// Element 0 is the state, field 3 in proc(5).
std::vector<std::string_view> stat_fields(std::string_view stat) {
    std::vector<std::string_view> fields;
    const auto name_end = stat.rfind(')');
    if (name_end == std::string_view::npos) return fields;
    stat.remove_prefix(name_end + 1);
    while (!stat.empty()) {
        const auto begin = stat.find_first_not_of(" \n");
        if (begin == std::string_view::npos) break;
        stat.remove_prefix(begin);
        const auto end = std::min(stat.find_first_of(" \n"), stat.size());
        fields.push_back(stat.substr(0, end));
        stat.remove_prefix(end);
    }
    return fields;
}

/// `listed`: the number of /proc, in which the result is, too.
std::optional<ProcessInfo> read_listed(pid_t listed) {
    const auto stat = read_file("/proc/" + std::to_string(listed) + "/stat", 4096);
    if (!stat) return std::nullopt;
    const auto fields = stat_fields(*stat);
    if (fields.size() < 20) return std::nullopt;
    ProcessInfo info;
    info.pid = listed;
    info.parent = static_cast<pid_t>(number(fields[1]));
    info.group = static_cast<pid_t>(number(fields[2]));
    const auto flags = number(fields[6]);
    const auto threads = number(fields[17]);
    info.start_time = number(fields[19]);
    // A zombie whose other threads live is a process whose main thread has ended.
    info.dead = fields[0] == "X" || (fields[0] == "Z" && threads <= 1);
    info.ending = (flags & kExiting) != 0;
    info.kernel_thread = (flags & kKernelThread) != 0;
    return info;
}

/// In our own numbers; nothing for processes that our namespace does not hold.
std::optional<ProcessInfo> translated(const std::optional<ProcessInfo>& listed) {
    if (!listed || proc_is_ours()) return listed;
    const auto numbers = own_numbers(listed->pid);
    if (!numbers) return std::nullopt;
    auto info = *listed;
    info.pid = numbers->pid;
    info.group = numbers->group;
    const auto parent = own_numbers(listed->parent);
    info.parent = parent ? parent->pid : 0;
    return info;
}

}  // namespace

std::optional<ProcessInfo> read_process(pid_t pid) { return translated(read_listed(listed_pid(pid))); }

std::vector<ProcessInfo> read_processes() {
    std::vector<ProcessInfo> processes;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), ::closedir);
    if (!folder) return processes;
    while (const auto* entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (name.empty() || name.front() < '1' || name.front() > '9') continue;
        if (auto info = translated(read_listed(static_cast<pid_t>(number(name))))) processes.push_back(*info);
    }
    return processes;
}

MarkState carries_marks(pid_t pid, const std::vector<std::string>& marks) {
    if (marks.empty()) return MarkState::absent;
    const auto environment = read_file("/proc/" + std::to_string(listed_pid(pid)) + "/environ", kEnvironmentBytes);
    if (!environment) return MarkState::absent;
    if (environment->empty()) return MarkState::unknown;
    const auto carried = [&](const std::string& mark) {
        for (std::string_view rest = *environment; !rest.empty();) {
            const auto end = std::min(rest.find('\0'), rest.size());
            if (rest.substr(0, end) == mark) return true;
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return false;
    };
    return std::all_of(marks.begin(), marks.end(), carried) ? MarkState::carried : MarkState::absent;
}

}  // namespace rankexec::process
