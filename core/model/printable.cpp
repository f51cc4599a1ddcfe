// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/printable.hpp"

#include "rankexec/core/model/utf8.hpp"

namespace rankexec {
namespace {

constexpr char kEscape = '\x1b';

/// Number of bytes of the control sequence ("colour red") at the start of `text`, which begins with
/// an escape; 1 when it is no such sequence.
std::size_t control_sequence(std::string_view text) {
    if (text.size() < 2 || text[1] != '[') return 1;
    std::size_t size = 2;
    while (size < text.size() && text[size] >= 0x20 && text[size] < 0x40) ++size;
    return size < text.size() ? size + 1 : size;
}

}  // namespace

std::string printable(std::string_view text, std::size_t longest) {
    std::string clean;
    while (!text.empty() && clean.size() <= longest) {
        const char byte = text.front();
        const bool control = (byte >= 0 && byte < 0x20 && byte != '\t') || byte == 0x7f;
        if (!control) clean += byte;
        text.remove_prefix(byte == kEscape ? control_sequence(text) : 1);
    }
    if (clean.size() <= longest) return replace_invalid_utf8(clean);
    // Not within a character: its first byte is the last that is not a continuation.
    clean.resize(longest);
    while (!clean.empty() && (static_cast<unsigned char>(clean.back()) & 0xC0U) == 0x80U) clean.pop_back();
    if (!clean.empty() && static_cast<unsigned char>(clean.back()) >= 0xC0U) clean.pop_back();
    return replace_invalid_utf8(clean) + "...";
}

}  // namespace rankexec
