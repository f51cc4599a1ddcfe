// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "rankexec/core/component/configuration_error.hpp"

/// What the options of executors for programs outside are checked with. Any thread.
namespace rankexec::option {

[[nodiscard]] inline std::string in_words(std::chrono::milliseconds time) {
    return std::to_string(time.count()) + " ms";
}

[[noreturn]] inline void refuse(const std::string& whose, const std::string& what) {
    throw ConfigurationError(ConfigurationError::Kind::option, whose + ": " + what);
}

inline void positive(const std::string& whose, const char* name, std::chrono::milliseconds time) {
    if (time.count() <= 0) refuse(whose, std::string(name) + " is " + in_words(time) + "; it must be above 0");
}

inline void not_negative(const std::string& whose, const char* name, std::chrono::milliseconds time) {
    if (time.count() < 0) refuse(whose, std::string(name) + " is " + in_words(time) + "; it must not be below 0");
}

}  // namespace rankexec::option
