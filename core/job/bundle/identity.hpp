// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec::job {

enum class Role : std::uint8_t { controller = 0, site = 1, user = 2 };
/// "controller", "site", "user"
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(Role role) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::optional<Role> role_from(std::string_view text) noexcept;

using Signature = std::array<std::byte, 64>;
using KeyBytes = PeerCredentials::Key;  // 32 bytes

/// What others know of a participant: one line of text, which people copy.
struct RANKEXEC_EXPORT PublicIdentity {
    Role role = Role::user;
    std::string name;
    KeyBytes curve_key{};    ///< proves who connects
    KeyBytes signing_key{};  ///< Ed25519; proves whose a bundle is

    /// As the hub calls this peer: "controller", "site/NAME" or "user/NAME".
    [[nodiscard]] std::string peer() const;
    /// "site:NAME:" and the two keys, each of 64 hexadecimal digits, with a colon between
    [[nodiscard]] std::string to_text() const;
    /// Throws ConfigurationError (option) that says what is wrong.
    [[nodiscard]] static PublicIdentity parse(std::string_view text);

    /// Whether `signature` is what Identity::sign of this participant gives.
    [[nodiscard]] bool signed_this(const Signature& signature, std::string_view purpose, std::string_view digest) const;
    friend bool operator==(const PublicIdentity&, const PublicIdentity&) = default;
};

/// A participant's secret, all its keys come from. Copies share it. Any thread may read.
class RANKEXEC_EXPORT Identity {
public:
    /// With a new secret. Throws ConfigurationError (option) when the name is none.
    [[nodiscard]] static Identity create(Role role, const std::string& name);
    /// Throws ConfigurationError (option) with the file's name: it cannot be read, others may read it, it is no
    /// identity.
    [[nodiscard]] static Identity load(const std::filesystem::path& file);
    /// Makes the file, which only its owner may read, and folders above it. Throws ConfigurationError (option); also
    /// when there is such a file already: it might be the only copy of a secret.
    void save(const std::filesystem::path& file) const;

    [[nodiscard]] Role role() const noexcept { return public_.role; }
    [[nodiscard]] const std::string& name() const noexcept { return public_.name; }
    [[nodiscard]] const PublicIdentity& public_part() const noexcept { return public_; }
    [[nodiscard]] PeerCredentials::KeyPair curve_keys() const;

    /// Ed25519 over purpose and digest: what was signed for one purpose ("submit", "deploy JOB") is nothing for
    /// another.
    [[nodiscard]] Signature sign(std::string_view purpose, std::string_view digest) const;

    // The controller that a site or user belongs to; kept in the file.
    std::string controller_address;            ///< a ZeroMQ endpoint; empty: to be given elsewhere
    std::optional<PublicIdentity> controller;  ///< whom to trust

private:
    Identity(Role role, std::string name, Secret seed);
    Secret seed_;
    PublicIdentity public_;
};

/// For messages: 2 hexadecimal digits per byte.
[[nodiscard]] RANKEXEC_EXPORT std::string to_hex(const Signature& signature);
/// Nothing when it is none.
[[nodiscard]] RANKEXEC_EXPORT std::optional<Signature> signature_from(std::string_view hex);

}  // namespace rankexec::job
