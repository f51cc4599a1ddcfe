// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/log.hpp"

#include <cstdlib>
#include <memory>
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace rankexec::log {
namespace {

/// A logger of our own, not spdlog's default one, which belongs to the host application.
spdlog::logger& logger() {
    // Never destroyed: threads that outlive main's statics may still log.
    static auto* const instance = [] {
        auto* made = new spdlog::logger("parent", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        made->set_pattern("%Y-%m-%d %H:%M:%S.%e rankexec %l: %v");
        const char* wanted = std::getenv("RANKEXEC_LOG");
        made->set_level(wanted != nullptr ? spdlog::level::from_str(wanted) : spdlog::level::warn);
        return made;
    }();
    return *instance;
}

std::string& role() {
    static auto* const text = new std::string("parent");
    return *text;
}

void write(spdlog::level::level_enum level, std::string_view message) {
    auto& out = logger();
    if (out.should_log(level)) out.log(level, "{}: {}", role(), message);
}

}  // namespace

void debug(std::string_view message) { write(spdlog::level::debug, message); }
void info(std::string_view message) { write(spdlog::level::info, message); }
void warning(std::string_view message) { write(spdlog::level::warn, message); }
void error(std::string_view message) { write(spdlog::level::err, message); }
void set_role(std::string_view name) { role() = name; }

}  // namespace rankexec::log
