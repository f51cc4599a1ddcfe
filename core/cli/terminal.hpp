// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <utility>

namespace rankexec::cli {

/// Whether two descriptors are the same terminal, file or pipe, so that what is written to them mixes.
[[nodiscard]] bool same_file(int left, int right) noexcept;

/// A terminal's rows and columns; 24 and 80 when it does not tell.
[[nodiscard]] std::pair<std::size_t, std::size_t> terminal_size(int fd) noexcept;

}  // namespace rankexec::cli
