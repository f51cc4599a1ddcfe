// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/run_display.hpp"

namespace rankexec::cli {
namespace {
/// What may wait for a slow reader before those who print have to wait as well.
constexpr std::size_t kMaxQueued = std::size_t{1} << 20U;
constexpr std::chrono::milliseconds kReaderPatience{1000};
}  // namespace

RunDisplay::RunDisplay(OutputWriter& writer, Options options)
    : writer_(writer),
      options_(std::move(options)),
      board_(options_.world_size),
      output_labels_(options_.launcher),
      error_labels_(options_.launcher),
      live_(options_.live) {}

void RunDisplay::begin_task(const std::string& task, int round, int rounds) {
    {
        const std::lock_guard lock(mutex_);
        board_.begin(task, round, rounds);
        begun_ = true;
    }
    redraw_later();
}

void RunDisplay::show_metric(int rank, const Value& figures) {
    std::string line;
    {
        const std::lock_guard lock(mutex_);
        if (!board_.update(rank, figures)) return;
        if (!live_) line = board_.line(rank) + "\n";
    }
    if (line.empty()) {
        redraw_later();
    } else {
        writer_.wait_below(kMaxQueued);
        write(options_.output_fd, std::move(line));
    }
}

void RunDisplay::show_rank_output(int rank, wire::OutputStream stream, std::string_view bytes) {
    if (rank < 0 && launcher_hidden_) return;
    const bool error = stream == wire::OutputStream::standard_error;
    std::string lines;
    {
        const std::lock_guard lock(mutex_);
        auto& labels = error && !options_.shared_output ? error_labels_ : output_labels_;
        lines = labels.add(rank, stream, bytes);
    }
    writer_.wait_below(kMaxQueued);
    write(error ? options_.error_fd : options_.output_fd, std::move(lines));
}

void RunDisplay::print(const std::string& lines) { write(options_.output_fd, lines); }
void RunDisplay::print_error(const std::string& lines) { write(options_.error_fd, lines); }

void RunDisplay::write(int fd, std::string lines) {
    if (lines.empty()) return;
    const bool on_terminal = fd == options_.output_fd || options_.shared_output;
    if (!live_ || !on_terminal) {
        writer_.write(fd, std::move(lines));
        return;
    }
    // In one piece: other threads write too, and between these steps they would draw a second block.
    writer_.write_later(fd, std::move(lines), [this](const std::string& text) {
        auto piece = erase();  // before draw(), which counts lines anew
        piece += text;
        return piece += draw();
    });
}

void RunDisplay::redraw_later() {
    if (!live_ || redraw_queued_.exchange(true)) return;
    writer_.write_later(options_.output_fd, {}, [this](const std::string&) {
        redraw_queued_ = false;
        auto text = erase();
        return text += draw();
    });
}

std::string RunDisplay::erase() {
    // To the first column of the block's first line, and clear from there.
    auto text = drawn_ == 0 ? std::string() : "\r\x1b[" + std::to_string(drawn_) + "A\x1b[J";
    drawn_ = 0;
    return text;
}

std::string RunDisplay::draw() {
    const std::lock_guard lock(mutex_);
    if (!live_ || !begun_) return {};
    const auto [rows, columns] = options_.size();
    // One row less: the cursor stands below the block.
    const auto lines = board_.lines(rows > 1 ? rows - 1 : 1, columns);
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    drawn_ = lines.size();
    return text;
}

void RunDisplay::hurry() { writer_.limit_patience(kReaderPatience); }

void RunDisplay::end() {
    std::string output;
    std::string error;
    {
        const std::lock_guard lock(mutex_);
        output = output_labels_.finish();
        error = error_labels_.finish();
    }
    write(options_.output_fd, std::move(output));
    write(options_.error_fd, std::move(error));
    writer_.flush();
    live_ = false;
}

std::vector<ProgressBoard::Work> RunDisplay::work() const {
    const std::lock_guard lock(mutex_);
    return board_.work();
}

}  // namespace rankexec::cli
