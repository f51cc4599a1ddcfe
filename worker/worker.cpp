// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/worker.hpp"

namespace rankexec::worker {

int run(const ComponentRegistry& /*registry*/) { return 2; }

}  // namespace rankexec::worker
