// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/return_code.hpp"

namespace rankexec {

/// How a process ended: by its own exit code or by a signal.
struct RANKEXEC_EXPORT ExitStatus {
    bool signalled = false;
    int number = 0;  ///< exit code 0..255, or the signal's number

    [[nodiscard]] bool success() const noexcept { return !signalled && number == 0; }
    /// What a shell would show: the exit code, or 128 + signal.
    [[nodiscard]] int shell_code() const noexcept { return signalled ? 128 + number : number; }
    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

/// "exit code 3" or "signal 9 (SIGKILL)".
[[nodiscard]] RANKEXEC_EXPORT std::string to_string(const ExitStatus& status);

/// Why a group or a task failed, named by the rank that caused it. Expected failures travel as data:
/// this is what a failed reply carries, and the error type of calls that return tl::expected.
struct RANKEXEC_EXPORT Failure {
    ReturnCode code = ReturnCode::execution_exception;
    std::string message;                   ///< one sentence: what happened, where, what to do
    std::optional<int> rank;               ///< the first failing rank, by cause; none: not a rank's failure
    std::string host;                      ///< of that rank; empty if unknown
    std::int64_t pid = 0;                  ///< of that rank's process on its host; 0 if unknown
    std::optional<ExitStatus> exit;        ///< when the rank's process ended
    std::vector<std::string> stderr_tail;  ///< last lines of its standard error, oldest first
    std::vector<int> ranks;                ///< all ranks concerned: those that never came, or have not answered

    friend bool operator==(const Failure&, const Failure&) = default;

    /// Everything above in at most one screen of text, without a trailing line break.
    [[nodiscard]] std::string describe() const;
};

}  // namespace rankexec
