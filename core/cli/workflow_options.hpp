// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

namespace rankexec::cli {

/// What `rankexec run` does with a group: rounds of training, each followed by a validation.
struct WorkflowOptions {
    int rounds = 1;
    std::string train_task = "train";
    std::string validate_task = "validate";      ///< empty: rounds are not validated
    std::string metric = "accuracy";             ///< the figure that the validation's reply holds
    std::chrono::milliseconds task_deadline{0};  ///< 0: none
    std::string save_file;                       ///< the tensors of the last training's reply; empty: not saved
};

}  // namespace rankexec::cli
