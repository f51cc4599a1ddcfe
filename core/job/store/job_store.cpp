// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/store/job_store.hpp"

namespace rankexec::job {

JobStore::~JobStore() = default;

}  // namespace rankexec::job
