// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/failure.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "rankexec/core/model/rank_list.hpp"
#include "rankexec/core/model/utf8.hpp"

namespace rankexec {
namespace {

/// A screen, so that the reason for a failure does not scroll away.
constexpr std::size_t kScreenLines = 24;
constexpr std::size_t kMessageLines = 16;
constexpr std::size_t kLineBytes = 200;
/// What happened and what to do may need more than one line of a narrow screen.
constexpr std::size_t kMessageBytes = 2000;

/// At most `longest` bytes of it, as valid UTF-8.
std::string presentable(std::string_view text, std::size_t longest) {
    auto out = replace_invalid_utf8(text.substr(0, longest + 4));
    if (out.size() <= longest) return out;
    while (longest > 0 && (static_cast<unsigned char>(out[longest]) & 0xc0U) == 0x80U) --longest;
    out.resize(longest);
    return out + "...";
}

std::vector<std::string> lines_of(std::string_view text, std::size_t longest) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        lines.push_back(presentable(text.substr(0, end), longest));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

}  // namespace

std::string to_string(const ExitStatus& status) {
    if (!status.signalled) return "exit code " + std::to_string(status.number);
    const char* name = sigabbrev_np(status.number);
    return "signal " + std::to_string(status.number) + (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

std::string Failure::describe() const {
    auto lines = lines_of(message, kMessageBytes);
    lines.resize(std::clamp<std::size_t>(lines.size(), 1, kMessageLines));
    lines[0] = std::string(to_string(code)) + (lines[0].empty() ? "" : ": ") + lines[0];
    std::string where;
    if (rank) where = "rank " + std::to_string(*rank);
    if (!host.empty()) where += (where.empty() ? "host " : " on ") + presentable(host, kLineBytes);
    if (pid != 0) where += (where.empty() ? "pid " : ", pid ") + std::to_string(pid);
    if (exit) where += (where.empty() ? "" : ", ") + to_string(*exit);
    if (!where.empty()) lines.push_back("  " + where);
    if (!ranks.empty()) lines.push_back("  ranks concerned: " + presentable(format_ranks(ranks), kLineBytes));
    if (!stderr_tail.empty()) {
        lines.emplace_back("  last lines of its standard error:");
        std::vector<std::string> tail;
        for (const auto& text : stderr_tail) {
            for (auto& line : lines_of(text, kLineBytes)) tail.push_back("    " + std::move(line));
        }
        const auto room = kScreenLines - lines.size();
        const auto skip = tail.size() > room ? tail.size() - room : 0;
        lines.insert(lines.end(), tail.begin() + static_cast<std::ptrdiff_t>(skip), tail.end());
    }
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
    return text;
}

}  // namespace rankexec
