// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace rankexec::cli {

/// Reads a number of ranks as given on a command line. The error is a clause for the user, without
/// the name of the option: "'four' is not a number of ranks; ...".
[[nodiscard]] tl::expected<int, std::string> parse_rank_count(std::string_view text);

/// 1..65536, or a clause that says what is wrong.
[[nodiscard]] tl::expected<int, std::string> check_rank_count(std::int64_t count);

/// How many processes one user can have on this machine, and what says so.
struct ProcessLimit {
    std::int64_t processes = 0;
    std::string source;  ///< "ulimit -u", "kernel.pid_max", ...
};

/// The lowest of the limits that hold for this process.
[[nodiscard]] ProcessLimit process_limit();

/// Whether that many ranks can run on one machine with this limit; otherwise a clause that names it.
[[nodiscard]] tl::expected<void, std::string> check_fits(int ranks, const ProcessLimit& limit);

}  // namespace rankexec::cli
