// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"

namespace rankexec::exchange {

inline constexpr std::string_view kLogTopic = "log";           ///< of a program's request; a task may be called so too
inline constexpr std::string_view kLogTypeHeader = "type";     ///< text: the type of the event
inline constexpr std::string_view kDefaultLogType = "metric";  ///< without that header
inline constexpr std::size_t kLogTypeBytes = 256;              ///< the longest type

/// What a program tells its executor while it works, to be fired there as an event: figures by name.
struct RANKEXEC_EXPORT ProgramLog {
    std::string type{kDefaultLogType};
    Value::Map figures;  ///< numbers or text

    /// The message that says it. Throws std::invalid_argument when error() has something to say.
    [[nodiscard]] PipeMessage to_message() const;
    /// Total: whatever came on kLogTopic is a log, or an error that says what is wrong with it.
    [[nodiscard]] static tl::expected<ProgramLog, std::string> from_message(const PipeMessage& message);
    /// What is wrong with it; empty: nothing. A type is neither empty nor longer than kLogTypeBytes; a figure is a
    /// number, true or false, or text, and has a name.
    [[nodiscard]] std::string error() const;

    friend bool operator==(const ProgramLog&, const ProgramLog&) = default;
};

}  // namespace rankexec::exchange
