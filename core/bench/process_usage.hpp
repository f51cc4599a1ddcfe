// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace rankexec::bench {

/// Microseconds of processor time that all threads of that process have taken; nothing when it is gone.
[[nodiscard]] std::optional<double> processor_time(pid_t pid);
/// Highest resident size in bytes since its start or reset_own_peak(); -1 when it is gone.
[[nodiscard]] std::int64_t peak_memory(pid_t pid);
/// Resident size in bytes; -1 when it is gone.
[[nodiscard]] std::int64_t resident_memory(pid_t pid);
/// From now on peak_memory(getpid()) tells what comes after this call, where the kernel permits it.
void reset_own_peak();

/// Sums up processor time over the parts of a case that count.
class ProcessorMeter {
public:
    explicit ProcessorMeter(std::vector<pid_t> ranks) : ranks_(std::move(ranks)) {}

    void begin();
    void end();
    [[nodiscard]] double parent() const noexcept { return parent_.total; }
    /// Negative when the ranks' processes are not known, or one has gone.
    [[nodiscard]] double ranks() const noexcept { return known_ && !ranks_.empty() ? all_.total : -1; }

private:
    struct Sum {
        double begun = 0;
        double total = 0;
    };
    [[nodiscard]] double time_of_ranks();

    std::vector<pid_t> ranks_;
    bool known_ = true;
    Sum parent_;
    Sum all_;
};

}  // namespace rankexec::bench
