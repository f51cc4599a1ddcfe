// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {

RankLauncher::~RankLauncher() = default;

}  // namespace rankexec
