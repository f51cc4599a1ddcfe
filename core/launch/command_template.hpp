// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Splits a command line into words as a POSIX shell does: blanks separate, '...' is literal, within
/// "..." a backslash escapes only `"`, `\`, `$`, a backquote and a line end, elsewhere any character.
/// Nothing is expanded. Fails on an open quote, and on an unquoted character that only a shell could
/// act upon (`|`, `&`, `;`, `<`, `>`, `(`, `)`, `$`, a backquote; `$` and backquote also within "...").
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<std::string>, std::string> split_command(std::string_view line);

/// Replaces placeholders in the words of a template: `{n}` and `{world_size}` anywhere in a word by the
/// number of ranks, `{hosts}` by the hosts with commas between them, and the word `{rank_program}` by
/// the words of `rank_program`. Other braces stay as they are. Fails unless `{rank_program}` is a word
/// of its own exactly once, or when there are hosts and no `{hosts}`.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<std::string>, std::string> expand_template(
    const std::vector<std::string>& words, int world_size, const std::vector<std::string>& hosts,
    const std::vector<std::string>& rank_program);

}  // namespace rankexec
