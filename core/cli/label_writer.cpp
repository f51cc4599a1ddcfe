// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/label_writer.hpp"

#include <algorithm>

namespace rankexec::cli {
namespace {
/// What one rank can make us keep by never ending a line.
constexpr std::size_t kLongestHeld = 64 * 1024;
}  // namespace

/// `text` is one line, or part of one: a line break is its last character or absent.
void LabelWriter::emit(const Source& source, std::string_view text, std::string& out) {
    if (!labels_) {
        out += text;
        return;
    }
    if (open_ != source) {
        if (open_) out += '\n';
        out += '[' + (source.first < 0 ? launcher_ : std::to_string(source.first)) + "] ";
    }
    out += text;
    open_.reset();
    if (text.back() != '\n') open_ = source;
}

std::string LabelWriter::add(int rank, wire::OutputStream stream, std::string_view bytes) {
    const Source source(rank, stream);
    auto& held = held_[source];
    std::string out;
    for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
        held += bytes.substr(0, end + 1);
        emit(source, held, out);
        held.clear();
        bytes.remove_prefix(end + 1);
    }
    held += bytes;
    if (held.size() > kLongestHeld) {
        emit(source, held, out);
        held.clear();
    }
    return out;
}

bool LabelWriter::holds_back() const {
    return std::any_of(held_.begin(), held_.end(), [](const auto& entry) { return !entry.second.empty(); });
}

std::string LabelWriter::let_go() {
    std::string out;
    for (auto& [source, held] : held_) {
        if (held.empty()) continue;
        emit(source, held, out);
        held.clear();
    }
    return out;
}

std::string LabelWriter::interrupt() { return std::exchange(open_, std::nullopt) ? "\n" : ""; }

std::string LabelWriter::finish() {
    auto out = let_go();
    return out + interrupt();
}

}  // namespace rankexec::cli
