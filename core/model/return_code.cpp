// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/return_code.hpp"

namespace rankexec {

std::string_view to_string(ReturnCode code) noexcept {
    switch (code) {
        case ReturnCode::ok: return "ok";
        case ReturnCode::task_unknown: return "task_unknown";
        case ReturnCode::bad_task_data: return "bad_task_data";
        case ReturnCode::bad_request_data: return "bad_request_data";
        case ReturnCode::task_aborted: return "task_aborted";
        case ReturnCode::task_timeout: return "task_timeout";
        case ReturnCode::execution_exception: return "execution_exception";
        case ReturnCode::execution_result_error: return "execution_result_error";
        case ReturnCode::initialisation_error: return "initialisation_error";
        case ReturnCode::launch_error: return "launch_error";
        case ReturnCode::not_ready: return "not_ready";
    }
    return "unknown";
}

std::optional<ReturnCode> return_code_from(std::int64_t number) noexcept {
    if (number < 0 || number > static_cast<std::int64_t>(ReturnCode::not_ready)) return std::nullopt;
    return static_cast<ReturnCode>(number);
}

}  // namespace rankexec
