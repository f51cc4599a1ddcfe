// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/workflow.hpp"

namespace rankexec::job {

WorkflowSession::~WorkflowSession() = default;
Workflow::~Workflow() = default;

}  // namespace rankexec::job
