// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/credentials.hpp"

#include <sodium.h>

#include <cstring>
#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace rankexec {
namespace {

static_assert(Secret::kSize == crypto_kdf_KEYBYTES);
static_assert(Secret::kSize == crypto_box_SEEDBYTES);

const unsigned char* raw(std::span<const std::byte> bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

void initialise_sodium() {
    // Thread-safe and idempotent; fails only where the system has no randomness.
    if (sodium_init() < 0) throw std::runtime_error("libsodium could not be initialised");
}

/// Guarded pages, advised out of core dumps and locked where RLIMIT_MEMLOCK allows it.
std::shared_ptr<std::byte[]> allocate() {
    initialise_sodium();
    auto* memory = static_cast<std::byte*>(sodium_malloc(Secret::kSize));
    if (memory == nullptr) throw std::bad_alloc();
    return {memory, [](std::byte* pointer) { sodium_free(pointer); }};
}

std::string to_hex(std::span<const std::byte> bytes) {
    std::string text(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), raw(bytes), bytes.size());
    text.pop_back();
    return text;
}

}  // namespace

Secret Secret::random() {
    auto memory = allocate();
    randombytes_buf(memory.get(), kSize);
    return Secret(std::move(memory));
}

Secret Secret::copy_of(std::span<const std::byte, kSize> bytes) {
    auto memory = allocate();
    std::memcpy(memory.get(), bytes.data(), kSize);
    return Secret(std::move(memory));
}

std::span<const std::byte, Secret::kSize> Secret::bytes() const noexcept {
    return std::span<const std::byte, kSize>(bytes_.get(), kSize);
}

Secret Secret::derive(std::uint64_t number, const char (&context)[9]) const {
    auto memory = allocate();
    crypto_kdf_derive_from_key(raw(memory.get()), kSize, number, context, raw(bytes()));
    return Secret(std::move(memory));
}

std::string_view to_string(PeerRole role) noexcept { return role == PeerRole::rank ? "rank" : "shim"; }

PeerCredentials PeerCredentials::derive(const Secret& run_secret, PeerRole role, int rank) {
    const auto number = static_cast<std::uint64_t>(rank);
    return {role, rank,
            role == PeerRole::rank ? run_secret.derive(number, "rx-rank-") : run_secret.derive(number, "rx-shim-")};
}

std::string PeerCredentials::user_name() const { return std::string(to_string(role)) + "-" + std::to_string(rank); }

std::string PeerCredentials::password() const { return to_hex(secret.derive(1, "rx-plain").bytes()); }

PeerCredentials::KeyPair PeerCredentials::curve_keys() const { return curve_keys_from(secret.derive(1, "rx-curve")); }

PeerCredentials::KeyPair curve_keys_from(const Secret& seed) {
    PeerCredentials::KeyPair keys;
    crypto_box_seed_keypair(raw(keys.public_key.data()), raw(keys.secret_key.data()), raw(seed.bytes()));
    return keys;
}

PeerCredentials::KeyPair fixed_server_keys(const Secret& secret) {
    return curve_keys_from(secret.derive(1, "rx-serve"));
}

std::string random_run_id() {
    initialise_sodium();
    std::array<std::byte, 16> bytes{};
    randombytes_buf(bytes.data(), bytes.size());
    return to_hex(bytes);
}

}  // namespace rankexec
