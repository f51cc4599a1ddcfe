// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/line_tail.hpp"

#include <algorithm>

#include "rankexec/core/model/utf8.hpp"
#include "rankexec/core/system/crash_marks.hpp"

namespace rankexec {
namespace {

/// A progress bar repaints its line: what it showed last is what counts.
std::string_view last_painted(std::string_view line) {
    while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const auto repaint = line.rfind('\r');
    return repaint == std::string_view::npos ? line : line.substr(repaint + 1);
}

std::string shortened(std::string_view line) {
    constexpr std::size_t kEnd = LineTail::kLineBytes / 4;
    constexpr std::size_t kBegin = LineTail::kLineBytes - kEnd;
    if (line.size() <= LineTail::kLineBytes) return replace_invalid_utf8(line);
    const auto left_out = line.size() - kBegin - kEnd;
    std::string text(line.substr(0, kBegin));
    text += " ...(" + std::to_string(left_out) + " bytes)... ";
    text += line.substr(line.size() - kEnd);
    return replace_invalid_utf8(text);
}

}  // namespace

void LineTail::append(std::string_view bytes) {
    if (bytes.size() >= kKeptBytes) {
        text_.assign(bytes.substr(bytes.size() - kKeptBytes));
        return;
    }
    text_.append(bytes);
    // Cut rarely, so that a rank that writes much costs no copy per piece.
    if (text_.size() > 2 * kKeptBytes) text_.erase(0, text_.size() - kKeptBytes);
}

std::vector<std::string> LineTail::last_lines(std::size_t count) const {
    std::string_view rest(text_);
    if (rest.size() > kKeptBytes) rest.remove_prefix(rest.size() - kKeptBytes);
    while (!rest.empty() && (rest.back() == '\n' || rest.back() == '\r')) rest.remove_suffix(1);
    std::vector<std::string> lines;
    while (!rest.empty() && lines.size() < count) {
        const auto cut = rest.rfind('\n');
        const auto line = cut == std::string_view::npos ? rest : rest.substr(cut + 1);
        lines.push_back(shortened(last_painted(line)));
        rest = cut == std::string_view::npos ? std::string_view{} : rest.substr(0, cut);
    }
    std::reverse(lines.begin(), lines.end());
    return lines;
}

LineTail::LastWords LineTail::last_words() const {
    LastWords words;
    words.lines = last_lines(kLines + kFrames + 2);
    const auto last = [&](std::string_view beginning) {
        const auto found = std::find_if(words.lines.rbegin(), words.lines.rend(),
                                        [&](const std::string& line) { return line.starts_with(beginning); });
        return found == words.lines.rend() ? words.lines.end() : found.base() - 1;
    };
    const auto begin = last(crash_mark::kBegin);
    const auto end = last(crash_mark::kEnd);
    if (begin != words.lines.end() && end != words.lines.end() && begin < end) {
        // Other threads may have written between the frames; what they wrote stays.
        std::vector<std::string> rest(words.lines.begin(), begin);
        for (auto line = begin + 1; line != end; ++line) {
            if (line->starts_with(crash_mark::kFrame)) {
                const auto space = line->find(' ', crash_mark::kFrame.size());
                words.stack.push_back(space == std::string::npos ? *line : line->substr(space + 1));
            } else {
                rest.push_back(std::move(*line));
            }
        }
        rest.insert(rest.end(), end + 1, words.lines.end());
        words.lines = std::move(rest);
    }
    const auto surplus = words.lines.size() - std::min(words.lines.size(), kLines);
    words.lines.erase(words.lines.begin(), words.lines.begin() + static_cast<std::ptrdiff_t>(surplus));
    return words;
}

}  // namespace rankexec
