// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/failure.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/model/rank_list.hpp"

namespace rankexec {
namespace {

/// A screen, so that the reason for a failure does not scroll away.
constexpr std::size_t kScreenLines = 24;
/// Stacks come on top of it: the lines of standard error that explain a crash are not theirs to take.
constexpr std::size_t kStackLines = 12;
constexpr std::size_t kTailLines = 20;
constexpr std::size_t kMessageLines = 16;
constexpr std::size_t kLineBytes = 200;
/// What happened and what to do may need more than one line of a narrow screen.
constexpr std::size_t kMessageBytes = 2000;
constexpr std::size_t kOtherKinds = 4;  ///< of faults that are told apart besides the first

using Lines = std::vector<std::string>;

Lines lines_of(std::string_view text, std::size_t longest) {
    Lines lines;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        lines.push_back(printable(text.substr(0, end), longest));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::string name_of(const std::vector<int>& ranks) { return printable(name_ranks(ranks), kLineBytes); }

void append(std::string& text, std::string_view more) {
    if (!more.empty()) text.append(text.empty() ? "" : ", ").append(more);
}

/// "rank 2 on node-1, pid 4711"
std::string place_of(const Failure& failure) {
    std::string text;
    if (failure.rank) text = "rank " + std::to_string(*failure.rank);
    if (!failure.host.empty()) text += (text.empty() ? "host " : " on ") + printable(failure.host, kLineBytes);
    if (failure.pid != 0) append(text, "pid " + std::to_string(failure.pid));
    return text;
}

/// How its process ended, and why if the kernel did it.
std::string end_of(const Failure& failure) {
    auto text = failure.exit ? to_string(*failure.exit) : std::string();
    if (failure.out_of_memory) append(text, "out of memory: killed by the kernel");
    return text;
}

/// Whether there is no message but a rank that ended, which says it all.
bool is_plain_end(const Failure& failure) { return failure.message.empty() && failure.rank && failure.exit; }

std::string details_of(const Failure& failure) {
    std::string text;
    if (!is_plain_end(failure)) {
        text = place_of(failure);
        append(text, end_of(failure));
    }
    if (!failure.task.empty()) append(text, "task \"" + printable(failure.task, kLineBytes) + "\"");
    if (!failure.exception.empty()) append(text, "exception " + printable(failure.exception, kLineBytes));
    return text;
}

std::string others_of(const Failure& failure) {
    const auto own = fault_of(failure);
    std::string same;
    std::string different;
    std::size_t kinds = 0;
    for (const auto& [ranks, what] : fold(failure.others)) {
        if (what == own && failure.rank) {
            same = name_of(ranks) + ": the same";
        } else if (++kinds <= kOtherKinds) {
            different += (different.empty() ? "" : "; ") + name_of(ranks) + ": " + printable(what, kLineBytes);
        } else if (kinds == kOtherKinds + 1) {
            different += "; and others";
        }
    }
    return same + (same.empty() || different.empty() ? "" : "; ") + different;
}

/// The frames of one kind of stack, or why there is none, in at most `room` lines.
void add_stack(Lines& lines, const FoldedStack& stack, std::size_t room) {
    if (stack.frames.empty()) {
        lines.push_back("  " + name_of(stack.ranks) + ": no stack: " + printable(stack.missing, kLineBytes));
        return;
    }
    lines.push_back("  stack of " + name_of(stack.ranks) + ":");
    for (std::size_t frame = 0; frame < std::min(stack.frames.size(), room - 1); ++frame) {
        lines.push_back("    #" + std::to_string(frame) + " " + printable(stack.frames[frame], kLineBytes));
    }
}

void add_stacks(Lines& lines, const Failure& failure) {
    constexpr std::size_t kLeast = 4;  // a heading and the frames that matter most
    const auto stacks = fold(failure.stacks);
    const auto end = lines.size() + kStackLines;
    for (std::size_t index = 0; index < stacks.size(); ++index) {
        const auto left = stacks.size() - index;
        const auto room = end - lines.size();
        if (left > 1 && room <= kLeast) {
            lines.push_back("  and " + std::to_string(left) + " other stacks");
            return;
        }
        // Each its share, but enough to be of use; the last line is kept for what does not fit.
        add_stack(lines, stacks[index], left > 1 ? std::min(std::max(kLeast, room / left), room - 1) : room);
    }
}

/// Where all that the ranks wrote is; empty: nowhere.
std::string log_files(const Failure& failure) {
    if (failure.log_directory.empty()) return {};
    auto folder = printable(failure.log_directory, kLineBytes);
    if (!failure.rank) return folder;
    const auto stem = folder + "/rank-" + std::to_string(*failure.rank);
    return stem + ".out, " + stem + ".err";
}

void add_tail(Lines& lines, const Failure& failure, std::size_t room) {
    const auto logs = log_files(failure);
    if (failure.stderr_tail.empty()) {
        if (!logs.empty()) lines.push_back("  full output: " + logs);
        return;
    }
    // Of what could not be started, the supervisor has written them.
    const bool started = !is_plain_end(failure) || failure.pid != 0;
    lines.push_back((started ? "  last lines of its standard error" : "  why") +
                    (logs.empty() ? "" : " (full output: " + logs + ")") + ":");
    Lines tail;
    for (const auto& text : failure.stderr_tail) {
        for (auto& line : lines_of(text, kLineBytes)) tail.push_back("    " + std::move(line));
    }
    const auto shown = std::min({room, kTailLines, tail.size()});
    lines.insert(lines.end(), tail.end() - static_cast<std::ptrdiff_t>(shown), tail.end());
}

template <typename Folded, typename Part, typename Same>
std::vector<Folded> fold_by(const std::vector<Part>& parts, Same same, Folded (*make)(const Part&)) {
    std::vector<Folded> folded;
    for (const auto& part : parts) {
        auto place = std::ranges::find_if(folded, [&](const Folded& one) { return same(one, part); });
        if (place == folded.end()) place = folded.insert(place, make(part));
        place->ranks.push_back(part.rank);
    }
    return folded;
}

}  // namespace

std::string signal_name(int number) {
    const char* name = sigabbrev_np(number);
    return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(number);
}

std::string to_string(const ExitStatus& status) {
    if (!status.signalled) return "exit code " + std::to_string(status.number);
    const char* name = sigabbrev_np(status.number);
    return "signal " + std::to_string(status.number) + (name != nullptr ? " (SIG" + std::string(name) + ")" : "");
}

std::string fault_of(const Failure& failure) {
    if (failure.exit) return end_of(failure);
    const auto lines = lines_of(failure.message, kLineBytes);
    return lines.empty() ? std::string(to_string(failure.code)) : lines.front();
}

std::vector<FoldedFault> fold(const std::vector<RankFault>& faults) {
    return fold_by<FoldedFault, RankFault>(
        faults, [](const FoldedFault& one, const RankFault& fault) { return one.what == fault.what; },
        [](const RankFault& fault) {
            return FoldedFault{{}, fault.what};
        });
}

std::vector<FoldedStack> fold(const std::vector<RankStack>& stacks) {
    return fold_by<FoldedStack, RankStack>(
        stacks,
        [](const FoldedStack& one, const RankStack& stack) {
            return one.frames == stack.frames && one.missing == stack.missing;
        },
        [](const RankStack& stack) {
            return FoldedStack{{}, stack.frames, stack.missing};
        });
}

std::string Failure::headline() const {
    if (is_plain_end(*this)) {
        return place_of(*this) + (pid != 0 ? " failed: " : " could not be started: ") + end_of(*this);
    }
    const auto lines = lines_of(message, kMessageBytes);
    return lines.empty() ? std::string() : lines.front();
}

std::string Failure::describe() const {
    auto lines = lines_of(message, kMessageBytes);
    lines.resize(std::clamp<std::size_t>(lines.size(), 1, kMessageLines));
    const auto first = headline();
    lines[0] = is_plain_end(*this) ? first : std::string(to_string(code)) + (first.empty() ? "" : ": ") + first;
    if (const auto details = details_of(*this); !details.empty()) lines.push_back("  " + details);
    if (const auto text = others_of(*this); !text.empty()) {
        lines.push_back("  " + text);
    } else if (!ranks.empty() && stacks.empty()) {
        lines.push_back("  ranks concerned: " + printable(format_ranks(ranks), kLineBytes));
    }
    const auto room = kScreenLines - std::min(kScreenLines, lines.size() + 1);
    add_stacks(lines, *this);
    add_tail(lines, *this, room);
    std::string text;
    for (const auto& line : lines) text += (text.empty() ? "" : "\n") + line;
    return text;
}

}  // namespace rankexec
