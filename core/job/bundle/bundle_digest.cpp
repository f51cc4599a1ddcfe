// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "rankexec/core/job/bundle/archive_handle.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {
namespace {

/// BLAKE2b needs no randomness, so sodium_init() need not have been called.
class Digest {
public:
    Digest() { crypto_generichash_init(&state_, nullptr, 0, crypto_generichash_BYTES); }
    void add(std::span<const std::byte> bytes) {
        crypto_generichash_update(&state_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    }
    std::string text() {
        std::array<unsigned char, crypto_generichash_BYTES> digest{};
        crypto_generichash_final(&state_, digest.data(), digest.size());
        std::string hex(digest.size() * 2 + 1, '\0');
        sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
        hex.pop_back();
        return hex;
    }

private:
    crypto_generichash_state state_{};
};

}  // namespace

std::string bundle_digest(std::span<const std::byte> content) {
    Digest digest;
    digest.add(content);
    return digest.text();
}

tl::expected<std::string, Failure> bundle_digest(const std::filesystem::path& archive) {
    const UniqueFd file(::open(archive.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return failed("cannot open", archive.string(), errno);
    Digest digest;
    std::array<std::byte, 64U * 1024> block{};
    while (true) {
        const auto got = ::read(file.get(), block.data(), block.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed("cannot read", archive.string(), errno);
        if (got == 0) return digest.text();
        digest.add({block.data(), static_cast<std::size_t>(got)});
    }
}

}  // namespace rankexec::job
