// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/process/child_process.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/line_tail.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::process {

/// Reads what one supervised program writes: into log files, into a tail in memory, and, within the
/// credit that the parent grants, to the parent. Without credit it stops reading, so that the program
/// waits in its write and nobody else does. One thread, that of the loop.
class OutputCapture {
public:
    struct Options {
        std::int32_t rank = 0;  ///< in the messages; -1: the launcher command
        std::string log_stem;   ///< files STEM.out and STEM.err are written; empty: none
        bool forward = true;
        std::uint64_t credit = 0;  ///< bytes of both streams together
    };
    struct Callbacks {
        std::function<void(wire::Message&&)> report;  ///< RankOutput, and RankOutputEnd at the end
        std::function<void()> on_finished;            ///< after RankOutputEnd
    };
    /// What becomes the program's standard output and error; closed by the caller once it runs.
    struct Writers {
        UniqueFd output;
        UniqueFd error;
    };

    OutputCapture(EventLoop& loop, Options options, Callbacks callbacks);
    ~OutputCapture();
    OutputCapture(const OutputCapture&) = delete;
    OutputCapture& operator=(const OutputCapture&) = delete;

    /// Makes pipes and log files. Fails when descriptors have run out or a file cannot be made.
    [[nodiscard]] tl::expected<Writers, StartError> open();

    void grant(std::uint64_t bytes);
    /// Reads what is in the pipes now, whatever the credit: what the program wrote before it ended.
    void read_written();
    /// The same, unless nobody makes room for it.
    void read_if_allowed();
    /// The program has ended, and that has been reported: goes on for at most kDrainTime, for those
    /// that it left behind.
    void process_exited();
    /// Nobody takes the output any more: what waits for credit is dropped, files and tail go on.
    void stop_forwarding();
    /// Reads what is there and closes the pipes now.
    void close_pipes();

    [[nodiscard]] LineTail::LastWords last_words() const { return tail_.last_words(); }
    [[nodiscard]] bool finished() const noexcept { return finished_; }

    static constexpr std::chrono::milliseconds kDrainTime{100};

private:
    struct Stream {
        wire::OutputStream id = wire::OutputStream::standard_output;
        UniqueFd pipe;
        UniqueFd log;
        bool watched = false;
    };

    [[nodiscard]] std::string log_path(const Stream& stream) const;
    [[nodiscard]] bool may_read() const;
    void update_watches();
    void read_some(Stream& stream);
    void read_available(Stream& stream);
    void take(Stream& stream, std::string_view bytes);
    void write_log(Stream& stream, std::string_view bytes);
    void send_pending();
    void close_pipe(Stream& stream);
    void finish_if_done();

    EventLoop& loop_;
    Options options_;
    Callbacks callbacks_;
    std::array<Stream, 2> streams_;
    LineTail tail_;
    std::string log_error_;                 ///< the first file that ended early, and why
    std::deque<wire::RankOutput> pending_;  ///< read, but not yet covered by credit
    EventLoop::TimerId drain_timer_ = 0;
    bool exited_ = false;
    bool finished_ = false;
};

}  // namespace rankexec::process
