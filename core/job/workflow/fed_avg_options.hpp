// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

/// The arguments of workflow "fed_avg"; docs/workflows.md is the reference.
struct RANKEXEC_EXPORT FedAvgOptions {
    int rounds = 5;
    std::string train_task = "train";
    std::string validate_task = "validate";  ///< empty: nothing is validated
    std::string metric = "accuracy";         ///< header or member of the body of a validation's reply
    bool higher_is_better = true;
    std::string weight = "samples";  ///< header of replies by which a site counts
    int min_responses = 0;           ///< per task; 0: the job's min_sites
    std::chrono::milliseconds wait_after_min{600'000};
    std::chrono::milliseconds train_timeout{0};  ///< 0: none
    std::chrono::milliseconds validate_timeout{0};
    std::string save_file = "model.npz";  ///< in the result folder; empty: not saved
    int alone_rounds = 0;                 ///< afterwards each site trains alone for so many rounds, to compare with
};

/// Throws std::invalid_argument, with a message for the user, for an unknown argument or a value that makes no sense.
[[nodiscard]] RANKEXEC_EXPORT FedAvgOptions parse_fed_avg_options(const Value::Map& args);

}  // namespace rankexec::job
