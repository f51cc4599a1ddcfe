// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// The last lines of standard error of ranks that have failed but go on: asked for when the failure comes,
/// because their supervisors know them. One thread.
class StderrTails {
public:
    using Ask = std::function<void(const wire::ReportTail&)>;

    explicit StderrTails(Ask ask) : ask_(std::move(ask)) {}

    void ask(int rank) {
        tails_[rank] = {++last_call_, true, {}};
        ask_({rank, last_call_});
    }
    /// Late answers are dropped.
    void answer(wire::TailReport&& report) {
        const auto found = tails_.find(report.rank);
        if (found != tails_.end() && found->second.call == report.call) {
            found->second = {report.call, false, std::move(report.stderr_tail)};
        }
    }
    /// Whether an answer about the rank that this failure names is still to come.
    [[nodiscard]] bool awaits(const Failure& failure) const {
        const auto found = failure.rank ? tails_.find(*failure.rank) : tails_.end();
        return found != tails_.end() && found->second.awaited;
    }
    void stop_waiting() {
        for (auto& [rank, tail] : tails_) tail.awaited = false;
    }
    /// Adds what is known, unless the failure brings its own.
    void complete(Failure& failure) const {
        const auto found = failure.rank ? tails_.find(*failure.rank) : tails_.end();
        if (found != tails_.end() && failure.stderr_tail.empty()) failure.stderr_tail = found->second.lines;
    }
    /// Forgets everything: what comes from now on is late.
    void clear() { tails_.clear(); }

private:
    struct Tail {
        std::uint64_t call = 0;
        bool awaited = true;
        std::vector<std::string> lines;
    };
    Ask ask_;
    std::map<int, Tail> tails_;  ///< by rank
    std::uint64_t last_call_ = 0;
};

}  // namespace rankexec
