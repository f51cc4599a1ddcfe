// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Outcome of a task. The numbers are part of the wire protocol.
enum class ReturnCode : std::uint8_t {
    ok = 0,
    task_unknown = 1,            ///< the executor does not know a task of that name
    bad_task_data = 2,           ///< the input is not what the task needs
    bad_request_data = 3,        ///< the request cannot be taken: queue full, payload over the limit, wrong state
    task_aborted = 4,            ///< the abort signal, the end of the run, or finalise ended the task
    task_timeout = 5,            ///< the deadline passed
    execution_exception = 6,     ///< user code threw, or a rank ended, while the task ran
    execution_result_error = 7,  ///< the answer could not be transported or understood
    initialisation_error = 8,    ///< the group could not be made ready
    launch_error = 9,            ///< the launcher, guardian or a rank program could not be started
    not_ready = 10,              ///< no group is up: before start_run, or after finalise
};

[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(ReturnCode code) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::optional<ReturnCode> return_code_from(std::int64_t number) noexcept;

}  // namespace rankexec
