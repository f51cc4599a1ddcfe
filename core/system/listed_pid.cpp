// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/listed_pid.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

pid_t number(std::string_view text) {
    pid_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// A pidfd's entry in fdinfo has its process's number in the namespace of /proc.
pid_t pid_of(const UniqueFd& pidfd) {
    constexpr std::string_view kField = "\nPid:\t";
    const UniqueFd file(
        ::open(("/proc/self/fdinfo/" + std::to_string(pidfd.get())).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file.valid()) return 0;
    std::array<char, 512> text{};
    const auto size = ::read(file.get(), text.data(), text.size());
    const std::string_view content(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    const auto field = content.find(kField);
    return field == std::string_view::npos ? 0 : std::max(0, number(content.substr(field + kField.size())));
}

}  // namespace

pid_t listed_pid() {
    std::array<char, 32> target{};
    const auto size = ::readlink("/proc/self", target.data(), target.size() - 1);
    const auto pid = size > 0 ? number({target.data(), static_cast<std::size_t>(size)}) : 0;
    return pid > 0 ? pid : ::getpid();
}

pid_t listed_pid(pid_t pid) {
    if (proc_is_ours()) return pid;
    const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    return pidfd.valid() ? pid_of(pidfd) : 0;
}

bool proc_is_ours() {
    static const bool ours = listed_pid() == ::getpid();
    return ours;
}

}  // namespace rankexec
