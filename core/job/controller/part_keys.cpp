// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/part_keys.hpp"

#include <sodium.h>

#include <stdexcept>

#include "rankexec/core/job/model/part_setup.hpp"

namespace rankexec::job {

Secret part_secret(const Identity& controller, const std::string& job, const std::string& participant,
                   int incarnation) {
    // Sites' parts outlive an incarnation of the controller part, and keep their keys.
    const auto number = participant == kControllerParticipant ? incarnation : 0;
    // An Ed25519 signature is the same each time, and only who has the secret can make it; this one is never shown.
    const auto signature =
        controller.sign("secret of a part", job + "\n" + participant + "\n" + std::to_string(number));
    std::array<std::byte, Secret::kSize> bytes{};
    if (crypto_generichash(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(),
                           reinterpret_cast<const unsigned char*>(signature.data()), signature.size(), nullptr,
                           0) != 0) {
        throw std::logic_error("BLAKE2b refuses its parameters");
    }
    auto secret = Secret::copy_of(bytes);
    sodium_memzero(bytes.data(), bytes.size());
    return secret;
}

std::string hex_of(std::span<const std::byte, 32> bytes) {
    std::string text(2 * bytes.size() + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    text.pop_back();
    return text;
}

}  // namespace rankexec::job
