// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

namespace rankexec::cli {

/// Opens those of the descriptors 0 to 2 that a caller has closed (`>&-`), before anything else is opened:
/// it would get their numbers, and output would be written into it. Input then has ended, output cannot
/// be written, and errors are lost.
void open_closed_standard_streams() noexcept;

/// Whether two descriptors are the same terminal, file or pipe, so that what is written to them mixes.
[[nodiscard]] bool same_file(int left, int right) noexcept;

/// A terminal's rows and columns; 24 and 80 when it does not tell.
[[nodiscard]] std::pair<std::size_t, std::size_t> terminal_size(int fd) noexcept;

/// Writes for as long as the descriptor takes something at once; the rest is lost. Never blocks.
void write_while_taken(int fd, std::string_view text) noexcept;

}  // namespace rankexec::cli
