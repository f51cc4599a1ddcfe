// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/measurement.hpp"

#include <sys/utsname.h>

#include <array>
#include <ctime>
#include <fstream>
#include <thread>

namespace rankexec::bench {
namespace {

std::string processor() {
    std::ifstream file("/proc/cpuinfo");
    for (std::string line; std::getline(file, line);) {
        const auto colon = line.find(": ");
        if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
    }
    return "unknown processor";
}

std::string kernel() {
    utsname names{};
    if (::uname(&names) != 0) return "unknown kernel";
    return std::string(names.sysname) + " " + names.release;
}

std::string now() {
    const std::time_t seconds = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text.data();
}

}  // namespace

Record new_record() {
    Record record;
    record.version = RANKEXEC_VERSION;
    record.time = now();
    record.machine = processor() + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores, " + kernel();
    return record;
}

}  // namespace rankexec::bench
