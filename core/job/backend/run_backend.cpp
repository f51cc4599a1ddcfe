// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/run_backend.hpp"

namespace rankexec::job {

RunBackend::~RunBackend() = default;

std::string_view to_string(RunEnd::Kind kind) noexcept {
    switch (kind) {
        case RunEnd::Kind::success: return "success";
        case RunEnd::Kind::failure: return "failure";
        case RunEnd::Kind::killed: return "killed";
        case RunEnd::Kind::stopped: return "stopped";
        case RunEnd::Kind::backend_failed: return "backend_failed";
    }
    return "";
}

}  // namespace rankexec::job
