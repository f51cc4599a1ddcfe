// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/bundle/identity.hpp"

#include <sodium.h>

#include <algorithm>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/bundle/hex.hpp"
#include "rankexec/core/job/model/job_definition.hpp"

namespace rankexec::job {
namespace {

static_assert(std::tuple_size_v<Signature> == crypto_sign_BYTES);
static_assert(std::tuple_size_v<KeyBytes> == crypto_sign_PUBLICKEYBYTES);
static_assert(Secret::kSize == crypto_sign_SEEDBYTES);

constexpr std::array<std::string_view, 3> kRoles{"controller", "site", "user"};

const unsigned char* raw(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

[[noreturn]] void refuse(const std::string& message) {
    throw ConfigurationError(ConfigurationError::Kind::option, message);
}

/// What a signature is over. The length keeps a purpose from running into what follows it.
std::string statement(std::string_view purpose, std::string_view digest) {
    std::string text("rankexec signature 1\n");
    text += std::to_string(purpose.size()) + "\n";
    text += purpose;
    text += digest;
    return text;
}

/// Expanded from the seed for one use, and wiped.
class SigningKey {
public:
    explicit SigningKey(const Secret& seed) {
        // Not the seed itself: the keys for connecting come from it too.
        const auto own = seed.derive(1, "rx-sign-");
        crypto_sign_seed_keypair(raw(public_key.data()), secret_.data(), raw(own.bytes().data()));
    }
    SigningKey(const SigningKey&) = delete;
    SigningKey& operator=(const SigningKey&) = delete;
    ~SigningKey() { sodium_memzero(secret_.data(), secret_.size()); }

    [[nodiscard]] Signature sign(const std::string& text) const {
        Signature signature{};
        crypto_sign_detached(raw(signature.data()), nullptr, reinterpret_cast<const unsigned char*>(text.data()),
                             text.size(), secret_.data());
        return signature;
    }

    KeyBytes public_key{};

private:
    std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret_{};
};

PeerCredentials::KeyPair connecting_keys(const Secret& seed) { return curve_keys_from(seed.derive(1, "rx-curve")); }

}  // namespace

std::string_view to_string(Role role) noexcept {
    const auto number = static_cast<std::size_t>(role);
    return number < kRoles.size() ? kRoles[number] : "unknown";
}

std::optional<Role> role_from(std::string_view text) noexcept {
    const auto found = std::find(kRoles.begin(), kRoles.end(), text);
    if (found == kRoles.end()) return std::nullopt;
    return static_cast<Role>(found - kRoles.begin());
}

std::string PublicIdentity::peer() const {
    if (role == Role::controller) return std::string(to_string(role));
    return std::string(to_string(role)) + "/" + name;
}

std::string PublicIdentity::to_text() const {
    return std::string(to_string(role)) + ":" + name + ":" + hex_of(curve_key) + ":" + hex_of(signing_key);
}

PublicIdentity PublicIdentity::parse(std::string_view text) {
    std::array<std::string_view, 4> fields;
    auto rest = text;
    for (auto& field : fields) {
        const auto colon = rest.find(':');
        const bool last = &field == &fields.back();
        if ((colon == std::string_view::npos) != last) {
            refuse(
                "a public identity has the form ROLE:NAME:KEY:KEY, as `rankexec site enroll` and `rankexec user "
                "enroll` print it; copy all of it");
        }
        field = rest.substr(0, colon);
        if (!last) rest.remove_prefix(colon + 1);
    }
    PublicIdentity identity;
    const auto role = role_from(fields[0]);
    if (!role) refuse("a public identity begins with controller, site or user, and a colon");
    identity.role = *role;
    if (const auto error = name_error(fields[1]); !error.empty()) refuse("the name in a public identity: " + error);
    identity.name = fields[1];
    const auto curve_key = bytes_of<std::tuple_size_v<KeyBytes>>(fields[2]);
    const auto signing_key = bytes_of<std::tuple_size_v<KeyBytes>>(fields[3]);
    if (!curve_key || !signing_key) refuse("the keys in a public identity are 64 hexadecimal digits each");
    identity.curve_key = *curve_key;
    identity.signing_key = *signing_key;
    return identity;
}

bool PublicIdentity::signed_this(const Signature& signature, std::string_view purpose, std::string_view digest) const {
    const auto text = statement(purpose, digest);
    return crypto_sign_verify_detached(raw(signature.data()), reinterpret_cast<const unsigned char*>(text.data()),
                                       text.size(), raw(signing_key.data())) == 0;
}

Identity::Identity(Role role, std::string name, Secret seed) : seed_(std::move(seed)) {
    if (const auto error = name_error(name); !error.empty()) {
        refuse("\"" + name + "\" is no name of a " + std::string(to_string(role)) + ": " + error);
    }
    public_.role = role;
    public_.name = std::move(name);
    public_.curve_key = connecting_keys(seed_).public_key;
    public_.signing_key = SigningKey(seed_).public_key;
}

Identity Identity::create(Role role, const std::string& name) { return {role, name, Secret::random()}; }

PeerCredentials::KeyPair Identity::curve_keys() const { return connecting_keys(seed_); }

Signature Identity::sign(std::string_view purpose, std::string_view digest) const {
    return SigningKey(seed_).sign(statement(purpose, digest));
}

std::string to_hex(const Signature& signature) { return hex_of(signature); }

std::optional<Signature> signature_from(std::string_view hex) { return bytes_of<std::tuple_size_v<Signature>>(hex); }

}  // namespace rankexec::job
