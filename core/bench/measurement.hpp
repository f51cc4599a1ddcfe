// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rankexec/core/bench/scenario.hpp"
#include "rankexec/core/bench/statistics.hpp"

namespace rankexec::bench {

inline constexpr const char* kOurself = "rankexec";

/// What one case gave.
struct Measurement {
    Case where;
    std::string subject = kOurself;  ///< who was measured: us, a limit program, a peer
    std::string unit = "us";         ///< of `figure`; "us", or "events/s", of which more is better
    Summary figure;
    // Of ours only; negative: not known, because ranks run elsewhere, or it is another's figure.
    double parent_cpu = -1;           ///< us of processor time for each sample
    double ranks_cpu = -1;            ///< the same, all ranks together
    std::int64_t parent_memory = -1;  ///< peak resident bytes
    std::int64_t rank_memory = -1;    ///< of the rank with the most
    std::int64_t growth = -1;         ///< soak only: resident bytes that parent and ranks have gained meanwhile
    std::string channel;              ///< what tasks went over: "memory", "ipc", "tcp", "tcp+curve"; empty: not known
    std::string failure;              ///< why there is no figure; empty: there is one

    [[nodiscard]] bool more_is_better() const { return unit != "us"; }
};

/// A row of the table of goals that scripts/bench adds.
struct Goal {
    std::string row, goal, measured, ours, reference, verdict;
};

/// A run of the benchmark: what --json writes and --compare and --from read.
struct Record {
    std::string version;  ///< of rankexec
    std::string time;     ///< ISO 8601, UTC
    std::string machine;  ///< processor, cores, kernel
    std::vector<Measurement> measurements;
    std::vector<Goal> goals;
};

/// Version, time and machine of here and now; no measurements.
[[nodiscard]] Record new_record();

}  // namespace rankexec::bench
