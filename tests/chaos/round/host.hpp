// SPDX-License-Identifier: Apache-2.0
// The parent application that gets killed: this same program again, in another role.
#pragma once

#include <sys/types.h>

#include <string>

#include "round.hpp"

namespace chaos {

/// What the host is about to do, as it says on its standard output, a character each.
enum class Phase : char { launch = 'L', execute = 'X', event = 'V', finalise = 'F', again = 'A' };

/// In the host: it is about to do that.
void say(Phase phase);

/// The host's own main: starts groups, uses and ends them, one after the other, until it is killed.
int run_host(const RoundOptions& round);

/// A child process in the host's role.
class Host {
public:
    explicit Host(const RoundOptions& round);
    ~Host();
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    /// False when the host ends first.
    bool wait_for(Phase phase);
    void kill();
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
    int phases_ = -1;
};

}  // namespace chaos
