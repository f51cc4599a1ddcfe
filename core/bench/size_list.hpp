// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace rankexec::bench {

inline constexpr std::uint64_t kLargestPayload = std::uint64_t{1} << 40;

/// "64", "64B", "4KiB", "1.5MiB", "2G", "10MB": bytes, up to kLargestPayload; K, M, G are powers of 1024 with or
/// without "iB", and of 1000 with "B" alone. The error is a clause for the user that quotes the text.
[[nodiscard]] tl::expected<std::uint64_t, std::string> parse_size(std::string_view text);

/// The shortest text of that number of bytes: "0 B", "64 B", "1 MiB", "1.5 MiB".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

}  // namespace rankexec::bench
