// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/schedule/site_pool.hpp"

namespace rankexec::job {

SitePool::~SitePool() = default;

}  // namespace rankexec::job
