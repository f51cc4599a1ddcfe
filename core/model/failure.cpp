// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/failure.hpp"

#include <cstring>

#include "rankexec/core/model/rank_list.hpp"
#include "rankexec/core/model/utf8.hpp"

namespace rankexec {
namespace {
/// A screen has 24 lines; the facts above the tail need up to five of them.
constexpr std::size_t kTailLines = 18;
}  // namespace

std::string to_string(const ExitStatus& status) {
    if (!status.signalled) return "exit code " + std::to_string(status.number);
    const char* name = sigabbrev_np(status.number);
    return "signal " + std::to_string(status.number) + (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

std::string Failure::describe() const {
    std::string text(to_string(code));
    if (!message.empty()) text += ": " + replace_invalid_utf8(message);
    std::string where;
    if (rank) where = "rank " + std::to_string(*rank);
    if (!host.empty()) where += (where.empty() ? "host " : " on ") + host;
    if (pid != 0) where += (where.empty() ? "pid " : ", pid ") + std::to_string(pid);
    if (exit) where += (where.empty() ? "" : ", ") + to_string(*exit);
    if (!where.empty()) text += "\n  " + where;
    if (!ranks.empty()) text += "\n  ranks concerned: " + format_ranks(ranks);
    if (!stderr_tail.empty()) {
        text += "\n  last lines of its standard error:";
        const auto skip = stderr_tail.size() > kTailLines ? stderr_tail.size() - kTailLines : 0;
        for (std::size_t line = skip; line < stderr_tail.size(); ++line) {
            text += "\n    " + replace_invalid_utf8(stderr_tail[line]);
        }
    }
    return text;
}

}  // namespace rankexec
