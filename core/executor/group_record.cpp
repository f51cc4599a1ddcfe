// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_record.hpp"

#include <algorithm>
#include <tuple>

#include "rankexec/core/executor/first_cause.hpp"

namespace rankexec {

bool GroupRecord::failed(const Rank& rank) { return rank.status && !rank.by_us && !rank.status->success(); }

void GroupRecord::add_started(const wire::RankStarted& report) {
    auto& rank = ranks_.at(static_cast<std::size_t>(report.rank));
    rank.host = report.host;
    rank.pid = report.pid;
}

void GroupRecord::add_exited(const wire::RankExited& report, Clock::time_point when) {
    auto& rank = ranks_.at(static_cast<std::size_t>(report.rank));
    rank.status = report.status;
    rank.by_us = report.by_us;
    rank.when = when;
    rank.stderr_tail = report.stderr_tail;
    rank.out_of_memory = report.out_of_memory;
    rank.stack = report.stack;
    if (failed(rank) && !first_failure_) first_failure_ = when;
}

bool GroupRecord::all_started() const {
    return std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.pid != 0; });
}

bool GroupRecord::all_exited() const {
    return std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.status.has_value(); });
}

std::vector<int> GroupRecord::running() const {
    std::vector<int> running;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        if (ranks_[rank].pid != 0 && !ranks_[rank].status) running.push_back(static_cast<int>(rank));
    }
    return running;
}

std::vector<int> GroupRecord::unreported() const {
    std::vector<int> unreported;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        if (!ranks_[rank].status) unreported.push_back(static_cast<int>(rank));
    }
    return unreported;
}

std::optional<int> GroupRecord::cause() const {
    if (!first_failure_) return std::nullopt;
    const auto order = [](const Rank& rank) { return std::tuple(kind_of_death(*rank.status), rank.when); };
    std::optional<std::size_t> cause;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        const auto& candidate = ranks_[rank];
        if (!failed(candidate) || candidate.when > *first_failure_ + kSettle) continue;
        if (!cause || order(candidate) < order(ranks_[*cause])) cause = rank;
    }
    return static_cast<int>(*cause);
}

Failure GroupRecord::facts(int rank) const {
    const auto& record = of(rank);
    Failure failure;
    failure.rank = rank;
    failure.host = record.host;
    failure.pid = record.pid;
    failure.exit = record.status;
    failure.out_of_memory = record.out_of_memory;
    failure.stderr_tail = record.stderr_tail;
    if (!record.stack.empty()) failure.stacks.push_back({rank, record.stack, {}});
    return failure;
}

Failure GroupRecord::failure() const {
    const int rank = *cause();
    auto failure = facts(rank);
    failure.code = failure.pid != 0 ? ReturnCode::execution_exception : ReturnCode::launch_error;
    for (std::size_t index = 0; index < ranks_.size(); ++index) {
        const auto& other = ranks_[index];
        if (static_cast<int>(index) == rank || !failed(other)) continue;
        Failure fault;
        fault.exit = other.status;
        fault.out_of_memory = other.out_of_memory;
        failure.others.push_back({static_cast<int>(index), fault_of(fault)});
    }
    return failure;
}

}  // namespace rankexec
