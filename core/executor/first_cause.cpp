// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/first_cause.hpp"

#include <algorithm>
#include <csignal>
#include <tuple>
#include <utility>

namespace rankexec {

std::chrono::milliseconds FirstCause::settle_after(Kind kind, bool one_supervisor) noexcept {
    constexpr std::chrono::milliseconds kSettleInOrder{5};
    return one_supervisor && kind <= Kind::death_by_code ? kSettleInOrder : kSettle;
}

void FirstCause::add(Kind kind, Failure failure, Clock::time_point when) {
    reports_.push_back({kind, std::move(failure), when});
}

bool FirstCause::has_death() const noexcept {
    return std::ranges::any_of(reports_, [](const Report& report) { return report.kind <= Kind::end_without_cause; });
}

std::optional<Failure> FirstCause::choose() const {
    if (reports_.empty()) return std::nullopt;
    const auto first = std::ranges::min_element(reports_, [](const Report& left, const Report& right) {
        return std::tie(left.kind, left.when) < std::tie(right.kind, right.when);
    });
    Failure failure = first->failure;
    std::vector<int> ranks;
    for (const auto& report : reports_) {
        if (report.failure.rank) ranks.push_back(*report.failure.rank);
    }
    std::ranges::sort(ranks);
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    if (ranks.size() > 1 && failure.ranks.empty()) failure.ranks = std::move(ranks);
    tell_of_others(failure);
    return failure;
}

void FirstCause::tell_of_others(Failure& failure) const {
    for (const auto& report : reports_) {
        const auto& rank = report.failure.rank;
        if (!rank || rank == failure.rank) continue;
        const bool known =
            std::ranges::any_of(failure.others, [&](const RankFault& fault) { return fault.rank == *rank; });
        if (!known) failure.others.push_back({*rank, fault_of(report.failure)});
    }
    std::ranges::sort(failure.others, {}, &RankFault::rank);
}

FirstCause::Kind kind_of_death(const ExitStatus& status) noexcept {
    if (status.signalled && status.number == SIGPIPE) return FirstCause::Kind::broken_pipe;
    if (status.signalled) return FirstCause::Kind::death_by_signal;
    return status.number != 0 ? FirstCause::Kind::death_by_code : FirstCause::Kind::end_without_cause;
}

}  // namespace rankexec
