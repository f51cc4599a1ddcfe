// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// 32 secret bytes in pages of their own, which are kept out of core dumps, locked where the limit
/// allows it, and wiped when freed. Copies share the bytes. Any thread may read.
class RANKEXEC_EXPORT Secret {
public:
    static constexpr std::size_t kSize = 32;

    static Secret random();
    /// Copies; the caller wipes its own copy.
    static Secret copy_of(std::span<const std::byte, kSize> bytes);

    [[nodiscard]] std::span<const std::byte, kSize> bytes() const noexcept;
    /// A secret that tells nothing about this one: BLAKE2b keyed derivation (libsodium crypto_kdf);
    /// `context` has exactly eight characters.
    [[nodiscard]] Secret derive(std::uint64_t number, const char (&context)[9]) const;

private:
    explicit Secret(std::shared_ptr<std::byte[]> bytes) : bytes_(std::move(bytes)) {}
    std::shared_ptr<std::byte[]> bytes_;
};

/// Who connects: a rank's program on the three channels, or a rank's shim on the supervision channel.
enum class PeerRole : std::uint8_t { rank = 0, shim = 1 };

[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(PeerRole role) noexcept;

/// The credentials of one peer, derived from the run secret, so that no peer knows another's: a name
/// and password for PLAIN, a key pair for CURVE.
struct RANKEXEC_EXPORT PeerCredentials {
    PeerRole role = PeerRole::rank;
    int rank = 0;
    Secret secret;  ///< all that the peer itself needs

    [[nodiscard]] static PeerCredentials derive(const Secret& run_secret, PeerRole role, int rank);

    [[nodiscard]] std::string user_name() const;  ///< "rank-3" or "shim-3"
    [[nodiscard]] std::string password() const;   ///< 64 hexadecimal digits
    using Key = std::array<std::byte, 32>;
    struct KeyPair {
        Key public_key{};
        Key secret_key{};
    };
    [[nodiscard]] KeyPair curve_keys() const;
};

/// A CURVE key pair from a secret (X25519, as ZeroMQ uses).
[[nodiscard]] RANKEXEC_EXPORT PeerCredentials::KeyPair curve_keys_from(const Secret& seed);

/// Those of a server that has the same secret after each restart: whoever shares the secret knows the public key.
[[nodiscard]] RANKEXEC_EXPORT PeerCredentials::KeyPair fixed_server_keys(const Secret& secret);

/// 32 random hexadecimal digits that name a run.
[[nodiscard]] RANKEXEC_EXPORT std::string random_run_id();

}  // namespace rankexec
