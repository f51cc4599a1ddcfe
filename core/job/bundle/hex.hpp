// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rankexec::job {

/// Two hexadecimal digits per byte; takes the same time whatever the bytes are.
inline std::string hex_of(std::span<const std::byte> bytes) {
    std::string text(bytes.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    text.pop_back();
    return text;
}

/// Nothing when the text is not exactly that many bytes.
template <std::size_t size>
std::optional<std::array<std::byte, size>> bytes_of(std::string_view hex) {
    std::array<std::byte, size> bytes{};
    std::size_t read = 0;
    if (hex.size() != size * 2 || sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), size, hex.data(),
                                                 hex.size(), nullptr, &read, nullptr) != 0) {
        return std::nullopt;
    }
    if (read != size) return std::nullopt;
    return bytes;
}

}  // namespace rankexec::job
