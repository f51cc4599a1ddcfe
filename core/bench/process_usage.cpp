// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/process_usage.hpp"

#include <unistd.h>

#include <ctime>
#include <fstream>
#include <string>

namespace rankexec::bench {
namespace {

/// A line "VmHWM:   1234 kB" of that process's status, in bytes.
std::int64_t status_line(pid_t pid, const std::string& name) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string word; file >> word;) {
        std::int64_t kib = 0;
        if (word == name && file >> kib) return kib * 1024;
    }
    return -1;
}

}  // namespace

std::optional<double> processor_time(pid_t pid) {
    clockid_t clock = 0;
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return std::nullopt;
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

std::int64_t peak_memory(pid_t pid) { return status_line(pid, "VmHWM:"); }
std::int64_t resident_memory(pid_t pid) { return status_line(pid, "VmRSS:"); }

void reset_own_peak() {
    std::ofstream file("/proc/self/clear_refs");
    file << "5";
}

void ProcessorMeter::begin() {
    parent_.begun = processor_time(::getpid()).value_or(0);
    all_.begun = time_of_ranks();
}

void ProcessorMeter::end() {
    parent_.total += processor_time(::getpid()).value_or(0) - parent_.begun;
    all_.total += time_of_ranks() - all_.begun;
}

double ProcessorMeter::time_of_ranks() {
    double sum = 0;
    for (const auto pid : ranks_) {
        const auto time = processor_time(pid);
        if (!time) known_ = false;
        sum += time.value_or(0);
    }
    return sum;
}

}  // namespace rankexec::bench
