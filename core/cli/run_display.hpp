// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "rankexec/core/cli/label_writer.hpp"
#include "rankexec/core/cli/output_writer.hpp"
#include "rankexec/core/cli/progress_board.hpp"
#include "rankexec/core/model/value.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::cli {

/// What `rankexec run` shows while it runs: the ranks' own output with labels, and their metrics. On
/// a terminal the metrics are a block of lines, one per rank, that is drawn anew in place below
/// everything else; elsewhere each metric is a line.
///
/// Any thread. What shows metrics and output of ranks blocks while the reader of our output is far
/// behind; the rest never blocks, but for end().
class RunDisplay {
public:
    struct Options {
        int world_size = 1;
        std::string launcher = "local";
        bool live = false;           ///< standard output is a terminal
        bool shared_output = false;  ///< standard error is the same terminal or file
        int output_fd = 1;
        int error_fd = 2;
        /// Rows and columns of the terminal, asked for at each drawing.
        std::function<std::pair<std::size_t, std::size_t>()> size;
    };
    /// The writer must outlive the display and everything it wrote.
    RunDisplay(OutputWriter& writer, Options options);

    void begin_task(const std::string& task, int round, int rounds);
    void show_metric(int rank, const Value& figures);
    void show_rank_output(int rank, wire::OutputStream stream, std::string_view bytes);
    /// Text of ours for standard output or error; complete lines.
    void print(const std::string& lines);
    void print_error(const std::string& lines);

    /// From now on what the launcher command says is not shown: it is about our own orders.
    void hide_launcher() { launcher_hidden_ = true; }

    /// From now on a reader that takes nothing holds nobody up for more than a second; then nothing is shown any more.
    void hurry();

    /// Leaves the block as it is and prints below it from now on. Shows what was held back.
    void end();

    [[nodiscard]] std::vector<ProgressBoard::Work> work() const;

private:
    void write(int fd, std::string lines);
    void redraw_later();
    [[nodiscard]] std::string erase();
    [[nodiscard]] std::string draw();

    OutputWriter& writer_;
    const Options options_;
    mutable std::mutex mutex_;  ///< guards the board and the labels
    ProgressBoard board_;
    LabelWriter output_labels_;
    LabelWriter error_labels_;
    bool begun_ = false;
    std::atomic<bool> launcher_hidden_ = false;
    std::atomic<bool> live_;
    std::atomic<bool> redraw_queued_ = false;
    std::size_t drawn_ = 0;  ///< lines of the block on the terminal; the writer's thread only
};

}  // namespace rankexec::cli
