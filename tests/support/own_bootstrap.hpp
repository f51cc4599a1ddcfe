// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include "rankexec/ipc/transport/bootstrap.hpp"

namespace rankexec::test {

/// What this rank was handed, for ranks that speak the protocol by hand. Once.
inline Bootstrap own_bootstrap() {
    const int fd = std::atoi(std::getenv("RANKEXEC_BOOTSTRAP_FD"));
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t size = 0; (size = ::read(fd, buffer.data(), buffer.size())) > 0;) {
        text.append(buffer.data(), static_cast<std::size_t>(size));
    }
    ::close(fd);
    return *Bootstrap::from_text(text);
}

}  // namespace rankexec::test
