// SPDX-License-Identifier: Apache-2.0
// The stranger who throws bombs, as a process of its own, so that its memory and its threads are not the parent's.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace chaos {

class Bomber {
public:
    /// Forks: to be made before there are threads. `kind`: as bombs.cpp names them.
    Bomber(const std::string& kind, std::uint64_t seed);
    ~Bomber();
    Bomber(const Bomber&) = delete;
    Bomber& operator=(const Bomber&) = delete;

    /// Attacks that endpoint, again and again.
    void begin(const std::string& endpoint, const std::string& mechanism);
    struct Report {
        std::uint64_t attempts = 0;  ///< connections
        std::uint64_t accepted = 0;  ///< of which the handshake succeeded, or that were not closed
    };
    Report end();

private:
    pid_t pid_ = 0;
    int orders_ = -1;
    int reports_ = -1;
};

}  // namespace chaos
