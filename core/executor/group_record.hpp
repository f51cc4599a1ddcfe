// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/executor/first_cause.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// What is known about the ranks of one launch, and from it: which rank failed first, and what to
/// tell the user. Pure data, one thread.
class RANKEXEC_EXPORT GroupRecord {
public:
    using Clock = std::chrono::steady_clock;

    explicit GroupRecord(int world_size) : ranks_(static_cast<std::size_t>(world_size)) {}

    void add_started(const wire::RankStarted& report);
    void add_exited(const wire::RankExited& report, Clock::time_point when);

    /// Whether a rank has failed by itself: not one that was ended by its supervisor.
    [[nodiscard]] bool any_failed() const { return first_failure_.has_value(); }
    [[nodiscard]] bool all_started() const;
    [[nodiscard]] bool all_exited() const;
    /// Ranks that have started but not ended.
    [[nodiscard]] std::vector<int> running() const;
    /// Those of which no end was reported, started or not.
    [[nodiscard]] std::vector<int> unreported() const;

    /// The rank whose failure caused the others'. First report is not first cause, so reports within a
    /// settle time of the first count as simultaneous; among those a signal goes before an exit code, SIGPIPE,
    /// which others cause, after it, and then the earlier before the later. Nothing when none has failed.
    [[nodiscard]] std::optional<int> cause() const;
    /// Reports that come later than this after the first failure cannot become the cause.
    static constexpr std::chrono::milliseconds kSettle = FirstCause::kSettle;

    [[nodiscard]] std::optional<ExitStatus> status(int rank) const { return of(rank).status; }

    /// Everything about the rank that is the cause, and how others failed. Its message is empty: how the
    /// rank ended says it all. Needs a cause().
    [[nodiscard]] Failure failure() const;
    /// Where that rank runs and how it ended, as far as is known. Without a message, and without a code of its own.
    [[nodiscard]] Failure facts(int rank) const;
    /// Whether its supervisor had begun to end it.
    [[nodiscard]] bool ended_by_us(int rank) const { return of(rank).by_us; }

private:
    struct Rank {
        std::string host;
        std::int64_t pid = 0;
        std::optional<ExitStatus> status;
        bool by_us = false;
        Clock::time_point when;
        std::vector<std::string> stderr_tail;
        bool out_of_memory = false;
        std::vector<std::string> stack;
    };
    [[nodiscard]] const Rank& of(int rank) const { return ranks_.at(static_cast<std::size_t>(rank)); }
    [[nodiscard]] static bool failed(const Rank& rank);

    std::vector<Rank> ranks_;
    std::optional<Clock::time_point> first_failure_;
};

}  // namespace rankexec
