// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/launch_session.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/model/rank_list.hpp"

namespace rankexec::cli {
namespace {

using std::chrono::milliseconds;

/// How long a person waits for a prompt before wondering.
constexpr milliseconds kShowHeldAfter{100};
/// For a reader that takes nothing, after an end that was asked for.
constexpr milliseconds kReaderPatience{1000};
/// For the ranks to be stopped before this process stops itself; then a supervisor is out of reach.
constexpr milliseconds kStopPatience{2000};

std::string_view as_text(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

}  // namespace

LaunchSession::LaunchSession(EventLoop& loop, LaunchSessionOptions options, Hooks hooks)
    : loop_(loop),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      record_(options_.group.world_size),
      output_lines_(options_.group.launcher, options_.label),
      error_lines_(options_.group.launcher, options_.label),
      writer_(std::make_unique<OutputWriter>(
          [this](int fd, int error) { loop_.post([this, fd, error] { on_broken(fd, error); }); })) {}

LaunchSession::~LaunchSession() {
    for (const auto timer : {timeout_timer_, settle_timer_, held_timer_, stop_timer_, reader_timer_})
        loop_.cancel(timer);
}

tl::expected<void, Failure> LaunchSession::start() {
    RankGroup::Callbacks callbacks;
    callbacks.on_started = [this](const wire::RankStarted& report) { on_started(report); };
    callbacks.on_output = [this](wire::RankOutput&& output) { on_output(std::move(output)); };
    callbacks.on_output_end = [this](const wire::RankOutputEnd& end) { on_output_end(end); };
    callbacks.on_exited = [this](const wire::RankExited& report) { on_exited(report); };
    callbacks.on_input_room = hooks_.on_input_room;
    callbacks.on_signalled = [this](const wire::RankSignalled& report) { on_signalled(report); };
    callbacks.on_lost = [this](const Failure& failure) { on_lost(failure); };
    callbacks.on_ended = [this](const wire::SupervisionEnded& report) { on_ended(report); };
    auto group = hooks_.start(loop_, options_.group, std::move(callbacks));
    if (!group) return tl::unexpected(group.error());
    group_ = std::move(*group);
    if (options_.timeout) timeout_timer_ = loop_.call_after(*options_.timeout, [this] { on_timeout(); });
    return {};
}

// ---- what the group reports ---------------------------------------------------------------------

LabelWriter& LaunchSession::lines(wire::OutputStream stream) {
    const bool error = stream == wire::OutputStream::standard_error && !options_.shared_output;
    return error ? error_lines_ : output_lines_;
}

int LaunchSession::fd_of(wire::OutputStream stream) const {
    return stream == wire::OutputStream::standard_error ? options_.error_fd : options_.output_fd;
}

void LaunchSession::on_started(const wire::RankStarted& report) {
    record_.add_started(report);
    // Input for a rank that is not there yet would be lost.
    if (input_wanted_ || options_.group.stdin_mode == wire::StdinMode::none) return;
    const bool all = options_.group.stdin_mode == wire::StdinMode::all;
    if (all ? !record_.all_started() : report.rank != 0) return;
    input_wanted_ = true;
    if (hooks_.on_input_wanted) hooks_.on_input_wanted();
}

void LaunchSession::on_output(wire::RankOutput&& output) {
    const int rank = output.rank;
    const auto size = output.bytes.size();
    const auto bytes = as_text(output.bytes);
    // Once the group is being ended, the launcher command only talks about our own orders.
    const bool hidden = rank < 0 && ending_;
    // The lines of several ranks shall not mix; those of one need not wait for their ends.
    const bool whole_lines = options_.label || options_.group.world_size > 1;
    auto text = hidden        ? std::string()
                : whole_lines ? lines(output.stream).add(rank, output.stream, bytes)
                              : std::string(bytes);
    // The rank may go on when its bytes are out, so a terminal that takes nothing pauses it.
    forward(fd_of(output.stream), std::move(text), [this, rank, size] {
        loop_.post([this, rank, size] {
            if (group_ && !done_) group_->acknowledge_output(rank, size);
        });
    });
    if (options_.interactive) show_held_later();
}

void LaunchSession::forward(int fd, std::string text, std::function<void()> done) {
    const bool among_errors = fd == options_.error_fd || options_.shared_output;
    if (among_errors && !text.empty()) error_line_open_ = text.back() != '\n';
    writer_->write(fd, std::move(text), std::move(done));
}

void LaunchSession::show_held_later() {
    if (held_timer_ != 0 || !(output_lines_.holds_back() || error_lines_.holds_back())) return;
    held_timer_ = loop_.call_after(kShowHeldAfter, [this] {
        held_timer_ = 0;
        forward(options_.output_fd, output_lines_.let_go());
        forward(options_.error_fd, error_lines_.let_go());
    });
}

void LaunchSession::on_output_end(const wire::RankOutputEnd& end) {
    if (log_error_.empty()) log_error_ = end.log_error;
}

void LaunchSession::on_exited(const wire::RankExited& report) {
    const bool failed_before = record_.any_failed();
    record_.add_exited(report, GroupRecord::Clock::now());
    if (to_stop_.erase(report.rank) != 0) stop_when_all_are();
    if (failed_before || !record_.any_failed() || ending_) return;
    // Others that fail in this time count as well, see GroupRecord::cause.
    settle_timer_ = loop_.call_after(GroupRecord::kSettle, [this] { end(options_.group.grace); });
}

void LaunchSession::on_lost(const Failure& failure) {
    lost_ = failure;
    ending_ = true;
}

void LaunchSession::on_ended(const wire::SupervisionEnded& report) {
    done_ = true;
    for (const auto timer : {timeout_timer_, settle_timer_, held_timer_}) loop_.cancel(timer);
    surviving_pids_ = report.surviving_pids;
    finish_output();
    // Whether all output could be written is part of the result. A callback must not destroy its group.
    after_output([this] {
        conclude();
        after_output([this] { tell_done(); });
    });
    // Who asked for the end, or set a time for it, has it also when a terminal takes nothing any more.
    if (signal_ == 0 && !timed_out_) return;
    reader_timer_ = loop_.call_after(kReaderPatience, [this] {
        writer_->abandon();
        conclude();
        tell_done();
    });
}

void LaunchSession::after_output(std::function<void()> then) {
    writer_->write(options_.error_fd, {}, [this, then = std::move(then)] { loop_.post(then); });
}

void LaunchSession::tell_done() {
    loop_.cancel(reader_timer_);
    if (!std::exchange(told_done_, true)) hooks_.on_done();
}

void LaunchSession::finish_output() {
    forward(options_.output_fd, output_lines_.finish());
    forward(options_.error_fd, error_lines_.finish());
}

/// What was asked for first is the reason, whatever the ranks did then.
CommandResult LaunchSession::judge() const {
    const auto failed = [this](ReturnCode code, std::string message) {
        Failure failure;
        failure.code = code;
        failure.message = std::move(message);
        failure.log_directory = options_.group.log_directory;
        return failure;
    };
    if (signal_ != 0) return {exit_code_of_signal(signal_), failed(ReturnCode::task_aborted, sigdescr_np(signal_))};
    if (timed_out_) {
        auto failure = failed(ReturnCode::task_timeout, timeout_text());
        failure.ranks = late_;
        return {kExitTimeout, std::move(failure)};
    }
    if (!ended_because_.empty()) return {kExitTimeout, failed(ReturnCode::task_timeout, ended_because_)};
    if (output_error_ != 0) {
        return {exit_code_of_output(output_error_),
                failed(ReturnCode::task_aborted, text_of_output_error(output_error_))};
    }
    if (record_.cause()) {
        auto failure = record_.failure();
        failure.log_directory = options_.group.log_directory;
        return {failure.exit->shell_code(), std::move(failure)};
    }
    if (lost_) return {lost_->code == ReturnCode::launch_error ? kExitLauncher : exit_code_of(*lost_), lost_};
    if (record_.all_exited()) return judge_output();
    auto failure = failed(ReturnCode::launch_error, "launcher " + options_.group.launcher + " ended, but " +
                                                        name_ranks(record_.unreported(), " has", " have") +
                                                        " not reported how; see what it said above");
    failure.ranks = record_.unreported();
    return {kExitLauncher, std::move(failure)};
}

/// All ranks have done well; the least of reasons comes last.
CommandResult LaunchSession::judge_output() const {
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    if (error_error_ != 0) {
        failure.message = text_of_output_error(error_error_);
        return {exit_code_of_output(error_error_), std::move(failure)};
    }
    if (log_error_.empty()) return {};
    failure.message = log_error_;
    return {kExitFailure, std::move(failure)};
}

void LaunchSession::conclude() {
    if (concluded_) return;
    concluded_ = true;
    result_ = judge();
    result_.surviving_pids = surviving_pids_;
    if (!surviving_pids_.empty()) {
        std::string pids;
        for (const auto pid : surviving_pids_) pids += " " + std::to_string(pid);
        say("rankexec: these processes could not be ended:" + pids + "\n");
    }
    tell_failure();
    result_.error_line_open = error_line_open_;
}

void LaunchSession::tell_failure() {
    // A signal, the time-out, another reason and a broken output have been told when they came.
    const bool told = signal_ != 0 || timed_out_ || !ended_because_.empty() || output_error_ != 0;
    if (options_.json || told || !result_.failure) return;
    auto shown = *result_.failure;
    const bool stands_above = options_.group.forward_output && options_.group.world_size == 1;
    if (stands_above && shown.pid != 0) shown.stderr_tail.clear();
    say("rankexec: " + shown.describe() + "\n");
}

std::string LaunchSession::timeout_text() const {
    return "time-out after " + format_figure(static_cast<double>(options_.timeout->count()) / 1000) +
           " s: " + (late_.empty() ? "no rank had started yet" : name_ranks(late_, " was", " were") + " still running");
}

// ---- what ends a group early --------------------------------------------------------------------

void LaunchSession::end(milliseconds grace) {
    ending_ = true;
    if (grace.count() == 0) forced_ = true;
    if (group_ && !done_) group_->request_end(grace);
}

void LaunchSession::end_because(const std::string& why) {
    if (ending_ || done_ || record_.any_failed()) return;
    ended_because_ = why;
    say("rankexec: " + why + "; ending the group\n");
    end(options_.group.grace);
}

void LaunchSession::on_timeout() {
    if (ending_ || record_.any_failed()) return;
    timed_out_ = true;
    late_ = record_.running();
    say("rankexec: " + timeout_text() + "; ending the group\n");
    end(options_.group.grace);
}

void LaunchSession::on_broken(int fd, int error) {
    // Nobody is left to tell of it; whether the group did well is another question.
    if (fd != options_.output_fd) {
        error_error_ = error;
        return;
    }
    // As a program of its own would end whose reader has gone; any other error is worth a line.
    if (error != EPIPE) say("rankexec: " + text_of_output_error(error) + "\n");
    if (ending_ || record_.any_failed()) return;
    output_error_ = error;
    if (done_) return;
    end(options_.group.grace);
}

void LaunchSession::on_signal(int signal) {
    switch (signal) {
        case SIGINT:
        case SIGTERM:
        case SIGHUP: on_end_signal(signal); break;
        case SIGTSTP: on_stop_signal(); break;
        case SIGCONT:
            if (std::exchange(stopped_, false) && group_ && !done_) group_->signal_ranks(SIGCONT);
            break;
        default: break;
    }
}

void LaunchSession::on_end_signal(int signal) {
    ++end_signals_;
    if (done_ || end_signals_ > 2) {
        // Only a reader that takes nothing can still hold us up, or processes that nobody can end.
        writer_->abandon();
        hooks_.exit_now(exit_code_of_signal(signal_ != 0 ? signal_ : signal));
        return;
    }
    if (signal_ == 0 && !record_.any_failed() && !ending_) signal_ = signal;
    if (ending_) {
        if (!forced_) say("rankexec: ending the ranks by force\n");
        end(milliseconds(0));
    } else {
        say(std::string("rankexec: ") + sigdescr_np(signal) + ": ending the ranks" +
            (signal == SIGINT ? "; once more to end them by force" : "") + "\n");
        end(options_.group.grace);
    }
}

void LaunchSession::on_stop_signal() {
    if (stop_timer_ != 0) return;
    if (group_ && !done_ && !ending_) {
        const auto running = record_.running();
        to_stop_ = std::set<int>(running.begin(), running.end());
        stopped_ = true;
        // Not the terminal's own signal: whether that stops a rank depends on who its parent is.
        group_->signal_ranks(SIGSTOP);
    }
    stop_timer_ = loop_.call_after(kStopPatience, [this] {
        to_stop_.clear();
        stop_when_all_are();
    });
    stop_when_all_are();
}

void LaunchSession::on_signalled(const wire::RankSignalled& report) {
    if (report.signal == SIGSTOP && to_stop_.erase(report.rank) != 0) stop_when_all_are();
}

/// A message that has not left this process when it stops would stay in it.
void LaunchSession::stop_when_all_are() {
    if (!to_stop_.empty() || stop_timer_ == 0) return;
    loop_.cancel(std::exchange(stop_timer_, 0));
    hooks_.stop_process();
}

bool LaunchSession::on_input(const Bytes& bytes) {
    if (!group_ || done_) return true;
    group_->write_input(bytes);
    return group_->input_has_room();
}

void LaunchSession::say(const std::string& text) {
    // What a rank has begun ends here, with labels or without.
    (void)(options_.shared_output ? output_lines_ : error_lines_).interrupt();
    writer_->write(options_.error_fd, (std::exchange(error_line_open_, false) ? "\n" : "") + text);
}

}  // namespace rankexec::cli
