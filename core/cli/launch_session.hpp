// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/cli/label_writer.hpp"
#include "rankexec/core/cli/outcome_json.hpp"
#include "rankexec/core/cli/output_writer.hpp"
#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/executor/group_record.hpp"
#include "rankexec/core/executor/rank_group.hpp"
#include "rankexec/core/system/event_loop.hpp"

namespace rankexec::cli {

/// Where the output of a launch goes and how long it may take.
struct LaunchSessionOptions {
    GroupOptions group;
    bool label = false;                                ///< each line starts with its rank
    std::optional<std::chrono::milliseconds> timeout;  ///< for the whole group
    int output_fd = 1;
    int error_fd = 2;
    bool json = false;           ///< the failure is told by whoever asks for it, not here
    bool shared_output = false;  ///< both descriptors are the same terminal or file
    bool interactive = false;    ///< show incomplete lines after a moment
};

/// One `rankexec launch` from start to end: forwards output, ends the group when a rank fails, when
/// the time is up, or when asked to, and knows what to exit with.
///
/// Lives on one EventLoop, as RankGroup does; the loop must run until on_done was called.
class LaunchSession {
public:
    using Starter = std::function<tl::expected<std::unique_ptr<RankGroup>, Failure>(
        EventLoop& loop, const GroupOptions& options, RankGroup::Callbacks callbacks)>;
    struct Hooks {
        Starter start;                           ///< RankGroup::start, or a double of it
        std::function<void()> stop_process;      ///< stop this process until it is continued
        std::function<void(int code)> exit_now;  ///< the user will not wait any longer; may return in tests
        std::function<void()> on_input_wanted;   ///< the ranks that read our standard input run; may be empty
        std::function<void()> on_input_room;     ///< after on_input() returned false: more is welcome; may be empty
        std::function<void()> on_done;           ///< all output is written; the result is there
    };

    LaunchSession(EventLoop& loop, LaunchSessionOptions options, Hooks hooks);
    ~LaunchSession();
    LaunchSession(const LaunchSession&) = delete;
    LaunchSession& operator=(const LaunchSession&) = delete;

    /// Starts the group. Throws ConfigurationError. After a failure there is nothing to wait for.
    [[nodiscard]] tl::expected<void, Failure> start();

    /// SIGINT, SIGTERM, SIGHUP: ends the group, each further one with less patience. SIGTSTP, SIGCONT:
    /// stops and continues the ranks and this process. Others are ignored.
    void on_signal(int signal);
    /// Bytes of our standard input; none at its end. Not before on_input_wanted. False: the ranks have
    /// enough to read until on_input_room.
    bool on_input(const Bytes& bytes);

    /// Ends the group, with a line that says why, unless it is being ended already. The result is a time-out.
    void end_because(const std::string& why);

    /// After on_done.
    [[nodiscard]] const CommandResult& result() const noexcept { return result_; }

private:
    void on_started(const wire::RankStarted& report);
    void on_output(wire::RankOutput&& output);
    void on_output_end(const wire::RankOutputEnd& end);
    void on_exited(const wire::RankExited& report);
    void on_lost(const Failure& failure);
    void on_ended(const wire::SupervisionEnded& report);
    void on_timeout();
    void on_broken(int fd, int error);
    void on_end_signal(int signal);
    void on_stop_signal();
    void on_signalled(const wire::RankSignalled& report);
    void stop_when_all_are();

    void end(std::chrono::milliseconds grace);
    void forward(int fd, std::string text, std::function<void()> done = {});
    void say(const std::string& text);
    void show_held_later();
    void finish_output();
    [[nodiscard]] LabelWriter& lines(wire::OutputStream stream);
    [[nodiscard]] int fd_of(wire::OutputStream stream) const;
    void after_output(std::function<void()> then);
    void conclude();
    void tell_done();
    void tell_failure();
    [[nodiscard]] CommandResult judge() const;
    [[nodiscard]] CommandResult judge_output() const;
    [[nodiscard]] std::string timeout_text() const;

    EventLoop& loop_;
    const LaunchSessionOptions options_;
    const Hooks hooks_;
    GroupRecord record_;
    LabelWriter output_lines_;
    LabelWriter error_lines_;
    bool error_line_open_ = false;  ///< the last byte written to standard error ended no line
    std::unique_ptr<RankGroup> group_;
    bool ending_ = false;
    bool forced_ = false;
    bool done_ = false;
    bool stopped_ = false;
    bool input_wanted_ = false;
    std::set<int> to_stop_;  ///< ranks that have not been stopped, while we are about to stop ourselves
    int end_signals_ = 0;
    int signal_ = 0;  ///< the first one that asked for the end
    bool timed_out_ = false;
    std::string ended_because_;  ///< empty: for no reason of the caller's
    std::vector<int> late_;      ///< ranks that were still running then
    int output_error_ = 0;       ///< errno that ended standard output, and with it the group
    int error_error_ = 0;        ///< errno that ended standard error
    std::string log_error_;      ///< a log file that is incomplete, and why
    std::vector<std::int64_t> surviving_pids_;
    std::optional<Failure> lost_;
    EventLoop::TimerId timeout_timer_ = 0;
    EventLoop::TimerId settle_timer_ = 0;
    EventLoop::TimerId held_timer_ = 0;
    EventLoop::TimerId stop_timer_ = 0;
    EventLoop::TimerId reader_timer_ = 0;
    bool concluded_ = false;
    bool told_done_ = false;
    CommandResult result_;
    std::unique_ptr<OutputWriter> writer_;
};

}  // namespace rankexec::cli
