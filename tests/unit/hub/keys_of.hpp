// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::test {

/// Keys that two processes of a test agree on. No secret at all.
inline hub::KeyPair keys_of(const std::string& name) {
    std::array<std::byte, Secret::kSize> seed{};
    const auto bytes = std::as_bytes(std::span(name));
    std::copy_n(bytes.begin(), std::min(bytes.size(), seed.size()), seed.begin());
    return curve_keys_from(Secret::copy_of(seed));
}

}  // namespace rankexec::test
