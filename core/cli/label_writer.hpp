// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::cli {

/// Turns what ranks write in pieces of any size into lines that start with "[rank] ", for one
/// terminal or file. A line of one rank never continues with bytes of another.
///
/// Lines are held back until they are complete, or longer than 64 KiB, or let go. A line that was
/// begun and is then interrupted by another rank's is broken there, and goes on in a labelled line.
class LabelWriter {
public:
    /// Takes what a rank wrote and returns what shall be written now.
    [[nodiscard]] std::string add(int rank, wire::OutputStream stream, std::string_view bytes);
    /// Whether an incomplete line is held back.
    [[nodiscard]] bool holds_back() const;
    /// Lets go of incomplete lines: for a terminal, where somebody may be waiting for a prompt.
    [[nodiscard]] std::string let_go();
    /// Lets go and completes the last line.
    [[nodiscard]] std::string finish();

private:
    using Source = std::pair<int, wire::OutputStream>;
    void emit(const Source& source, std::string_view text, std::string& out);

    std::map<Source, std::string> held_;
    std::optional<Source> open_;  ///< whose line is written but for its end
};

}  // namespace rankexec::cli
