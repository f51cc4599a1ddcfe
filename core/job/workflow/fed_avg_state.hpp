// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec::job {

/// What federated averaging has come to, and all that a restarted run needs to go on.
struct RANKEXEC_EXPORT FedAvgState {
    /// A round that was validated.
    struct Round {
        int round = 0;
        double metric = 0;
        std::map<std::string, double> by_site;
        friend bool operator==(const Round&, const Round&) = default;
    };
    int rounds_done = 0;
    Shareable::Tensors model;
    int best_round = 0;  ///< 0: none was validated
    double best_metric = 0;
    Shareable::Tensors best_model;
    std::vector<Round> history;

    [[nodiscard]] Shareable pack() const;
    /// The error names what is missing.
    [[nodiscard]] static tl::expected<FedAvgState, std::string> unpack(const Shareable& snapshot);
    friend bool operator==(const FedAvgState&, const FedAvgState&) = default;
};

}  // namespace rankexec::job
