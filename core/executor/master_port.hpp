// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {

/// A tcp port for MASTER_PORT: free on this host when it was chosen, and of no other group that lives
/// here. Nothing is bound to it: that is for rank 0's program. The claim goes with this object.
class MasterPort {
public:
    /// Chooses one; number() is 0 when none can be had.
    static MasterPort claim();

    [[nodiscard]] int number() const noexcept { return number_; }

private:
    int number_ = 0;
    UniqueFd claim_;
};

}  // namespace rankexec
