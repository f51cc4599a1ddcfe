// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::cli {

/// Turns what ranks write in pieces of any size into whole lines, for one terminal or file, each
/// starting with "[rank] ", or unlabelled. Lines are held back until they are complete, or longer than
/// 64 KiB, or let go.
///
/// With labels a line of one rank never continues with bytes of another: one that was begun and is
/// then interrupted is broken there, and goes on in a labelled line. Without, every rank's bytes come
/// out as they went in.
class LabelWriter {
public:
    /// `launcher` labels what comes from no rank (rank -1): the launcher command itself.
    explicit LabelWriter(std::string launcher = "launcher", bool labels = true)
        : launcher_(std::move(launcher)), labels_(labels) {}

    /// Takes what a rank wrote and returns what shall be written now.
    [[nodiscard]] std::string add(int rank, wire::OutputStream stream, std::string_view bytes);
    /// Whether an incomplete line is held back.
    [[nodiscard]] bool holds_back() const;
    /// Lets go of incomplete lines: for a terminal, where somebody may be waiting for a prompt.
    [[nodiscard]] std::string let_go();
    /// Others want to write a line of their own: completes the one that is begun, if any.
    [[nodiscard]] std::string interrupt();
    /// Lets go and completes the last line.
    [[nodiscard]] std::string finish();

private:
    using Source = std::pair<int, wire::OutputStream>;
    void emit(const Source& source, std::string_view text, std::string& out);

    std::string launcher_;
    bool labels_;
    std::map<Source, std::string> held_;
    std::optional<Source> open_;  ///< whose line is written but for its end
};

}  // namespace rankexec::cli
