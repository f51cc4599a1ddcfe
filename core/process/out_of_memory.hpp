// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rankexec::process {

/// Tells whether the kernel's out-of-memory killer was at work: nothing else says so of a process that
/// got SIGKILL. Counts the kills in the memory cgroup in which this process was when the watch began, and
/// with it whatever it has started since. One thread.
class OutOfMemoryWatch {
public:
    /// Without a memory cgroup (versions 1 and 2 are understood) nothing is ever claimed.
    OutOfMemoryWatch();

    /// Whether there was a kill that has not been claimed yet; claims it.
    [[nodiscard]] bool claim_kill();

    /// The file with the count; empty: none was found.
    [[nodiscard]] const std::string& file() const noexcept { return file_; }

private:
    std::string file_;
    std::int64_t claimed_ = 0;
};

/// The value of `oom_kill` in the text of memory.events (version 2) or memory.oom_control (version 1).
[[nodiscard]] std::optional<std::int64_t> oom_kills_in(const std::string& text);

}  // namespace rankexec::process
