// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/foreign_environment.hpp"

#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec {

std::vector<std::string> without_foreign_ranks(const std::vector<std::string>& environment) {
    return without_rank_variables(environment);
}

}  // namespace rankexec
