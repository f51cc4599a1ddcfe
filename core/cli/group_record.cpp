// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/group_record.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/model/rank_list.hpp"

namespace rankexec::cli {
namespace {

constexpr std::size_t kTailLines = 20;
constexpr std::size_t kLongestLine = 200;
constexpr std::size_t kOtherKinds = 4;  ///< of failures that are told apart besides the first

}  // namespace

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
    const auto order = [](const Rank& rank) { return std::tuple(!rank.status->signalled, rank.when); };
    std::optional<std::size_t> cause;
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank) {
        const auto& candidate = ranks_[rank];
        if (!failed(candidate) || candidate.when > *first_failure_ + kSettle) continue;
        if (!cause || order(candidate) < order(ranks_[*cause])) cause = rank;
    }
    return static_cast<int>(*cause);
}

std::string GroupRecord::other_failures(int cause) const {
    std::vector<int> same;
    std::map<std::string, std::vector<int>> others;
    for (std::size_t index = 0; index < ranks_.size(); ++index) {
        const auto rank = static_cast<int>(index);
        if (rank == cause || !failed(ranks_[index])) continue;
        if (ranks_[index].status == of(cause).status) {
            same.push_back(rank);
        } else {
            others[to_string(*ranks_[index].status)].push_back(rank);
        }
    }
    const auto ranks = [](const std::vector<int>& list) {
        return (list.size() == 1 ? "rank " : "ranks ") + printable(format_ranks(list), kLongestLine);
    };
    std::string text = same.empty() ? "" : ranks(same) + ": the same";
    std::size_t kinds = 0;
    for (const auto& [status, list] : others) {
        if (++kinds > kOtherKinds) return text + "; and others";
        text += (text.empty() ? "" : "; ") + ranks(list) + ": " + status;
    }
    return text;
}

std::string GroupRecord::card(const CardOptions& options) const {
    const int rank = *cause();
    const auto& record = of(rank);
    std::string text = "rankexec: rank " + std::to_string(rank);
    if (!record.host.empty()) text += " on " + printable(record.host, kLongestLine);
    if (record.pid != 0) text += ", pid " + std::to_string(record.pid);
    text += (record.pid != 0 ? " failed: " : " could not be started: ") + to_string(*record.status) + "\n";
    const auto others = other_failures(rank);
    // Why it could not be started is its supervisor's word, which stands nowhere else.
    const bool started = record.pid != 0;
    if ((options.show_stderr || !started) && !record.stderr_tail.empty()) {
        text += started ? "  last lines of its standard error:\n" : "  why:\n";
        const auto& tail = record.stderr_tail;
        for (auto line = tail.size() - std::min(tail.size(), kTailLines); line < tail.size(); ++line) {
            text += "    " + printable(tail[line], kLongestLine) + "\n";
        }
    }
    if (!others.empty()) text += "  " + others + "\n";
    if (!options.log_directory.empty()) {
        const auto file = options.log_directory + "/rank-" + std::to_string(rank);
        text += "  full output: " + file + ".out, " + file + ".err\n";
    }
    return text;
}

}  // namespace rankexec::cli
