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
/// "SIGKILL"; "signal 1000" for a number that has no name.
[[nodiscard]] RANKEXEC_EXPORT std::string signal_name(int number);

/// What became of one rank, in a few words: how it ended, or what it threw.
struct RANKEXEC_EXPORT RankFault {
    int rank = 0;
    std::string what;
    friend bool operator==(const RankFault&, const RankFault&) = default;
};

/// Where the code of a rank stood, by the rank's own account.
struct RANKEXEC_EXPORT RankStack {
    int rank = 0;
    std::vector<std::string> frames;  ///< innermost first
    std::string missing;              ///< why there are none; empty otherwise
    friend bool operator==(const RankStack&, const RankStack&) = default;
};

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
    std::string task;                      ///< the task that was being executed; empty: none
    std::string exception;                 ///< type of what that rank's user code threw; empty: nothing, or unknown
    bool out_of_memory = false;            ///< the kernel killed that rank because memory had run out
    std::vector<RankFault> others;         ///< ranks that failed beside that one, perhaps because of it
    std::vector<RankStack> stacks;         ///< of the rank that crashed, or of those that have not answered
    std::string log_directory;             ///< the ranks' whole output is there, as rank-N.out and .err; empty: nowhere

    friend bool operator==(const Failure&, const Failure&) = default;

    /// Everything above in at most one screen of text (24 lines, and up to 12 of stacks), safe on a
    /// terminal, without a trailing line break. Ranks with the same fault or the same stack are folded.
    [[nodiscard]] std::string describe() const;
    /// Its first line without the code: the message's first line or, without one, who ended and how.
    [[nodiscard]] std::string headline() const;
};

/// `faults` by what they say, each with its ranks in order; the order is that of the first rank of each.
struct RANKEXEC_EXPORT FoldedFault {
    std::vector<int> ranks;
    std::string what;
};
[[nodiscard]] RANKEXEC_EXPORT std::vector<FoldedFault> fold(const std::vector<RankFault>& faults);
/// The same for stacks.
struct RANKEXEC_EXPORT FoldedStack {
    std::vector<int> ranks;
    std::vector<std::string> frames;
    std::string missing;
};
[[nodiscard]] RANKEXEC_EXPORT std::vector<FoldedStack> fold(const std::vector<RankStack>& stacks);

/// What a RankFault says about a rank that failed like this: its exit status, else its message.
[[nodiscard]] RANKEXEC_EXPORT std::string fault_of(const Failure& failure);

}  // namespace rankexec
