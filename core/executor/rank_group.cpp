// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/rank_group.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <limits>
#include <system_error>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/executor/group_plan.hpp"
#include "rankexec/core/executor/master_port.hpp"
#include "rankexec/core/executor/shim_channel.hpp"
#include "rankexec/core/model/rank_list.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/process/host/guardian_client.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/rank_variables.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"
#include "rankexec/ipc/transport/transport_server.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;

/// After the launcher command has ended, the last reports of its shims may still be on their way.
constexpr milliseconds kReportSettle{1000};
/// From the first rank's start to a word about those that are missing.
constexpr milliseconds kStartPatience{10'000};
/// After the grace, for shims to kill and to report: on a busy host with thousands of processes a look
/// around takes its time.
constexpr milliseconds kConfirmTime{5000};
/// For a launcher command to end by itself once its ranks are gone, before it is told to.
constexpr milliseconds kLauncherExit{1000};
/// And after it was told to, before it is killed.
constexpr milliseconds kLauncherGrace{2000};
/// After its grace, for a guardian to end everything and to say so: it takes at most 14 s itself.
constexpr milliseconds kGuardianPatience{15'000};
/// For shims on other hosts to confirm the end after everything here is gone.
constexpr milliseconds kRemoteConfirm{2000};

/// Of standard input that one rank has not read yet.
constexpr std::uint64_t kInputQueue = std::uint64_t{1} << 20U;

/// Whether Hydra's mpiexec exits like this after MPI_Abort. It returns -1 for a failure of its own, and the number of
/// the signal when a process of the job (our supervisors, for it) was ended by one.
bool is_abort_code(const ExitStatus& status) {
    constexpr int kOwnFailure = 255;
    constexpr std::array kEndedBy{SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGSYS};
    return !status.signalled && status.number > 0 && status.number < kOwnFailure &&
           std::ranges::find(kEndedBy, status.number) == kEndedBy.end();
}

constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;
constexpr int kNotServed = 125;  ///< what the program was to get is not there

int code_of_start_error(int error) {
    if (error == 0) return kNotServed;
    return error == ENOENT || error == ENOTDIR ? kNotFound : kNotExecutable;
}

/// One rank as its supervisor reports it.
struct RankRecord {
    bool started = false;
    bool exited = false;
    bool output_ended = false;
    bool confirmed = false;  ///< its shim has left nothing
    bool shim_lost = false;  ///< its shim has ended without a word
    int local_rank = -1;     ///< as its launcher says; -1: it does not
    int local_world_size = -1;
    std::int64_t pid = 0;
    std::string host;
    std::uint64_t input_queued = 0;  ///< bytes of standard input that its supervisor has not passed on
};

class GuardedRankGroup final : public RankGroup {
public:
    GuardedRankGroup(EventLoop& loop, GroupOptions options, Callbacks callbacks)
        : loop_(loop),
          options_(std::move(options)),
          callbacks_(std::move(callbacks)),
          ranks_(static_cast<std::size_t>(options_.world_size)) {}

    ~GuardedRankGroup() override {
        loop_.cancel(timer_);
        loop_.cancel(launcher_timer_);
        loop_.cancel(patience_timer_);
        loop_.cancel(guardian_timer_);
        wipe(options_.agent_address);
    }

    tl::expected<void, Failure> launch(bool channels, std::uint32_t incarnation) {
        auto plan = plan_group(options_, nullptr);
        if (!plan) return tl::unexpected(plan.error());
        direct_ = plan->direct;
        channels_ = channels;
        remote_ = plan->may_be_remote;
        exits_with_abort_code_ = plan->exits_with_abort_code;
        orphan_grace_ms_ =
            static_cast<std::uint32_t>(options_.orphan_grace ? options_.orphan_grace->count() : plan->orphan_grace_ms);
        run_id_ = random_run_id();
        if (options_.master_port == 0) master_port_ = MasterPort::claim();
        const bool connected = channels || !direct_;
        std::string run_directory;
        if (connected) {
            auto chosen = choose_run_directory();
            if (!chosen) return tl::unexpected(chosen.error());
            run_directory = std::move(*chosen);
        }
        // Before the directory is made: a host that is killed at any moment leaves none.
        if (auto started = start_guardian(run_directory); !started) return started;
        if (connected) {
            if (auto opened = open_transport(run_directory, incarnation); !opened) return opened;
            plan = plan_group(options_, &transport_->bootstrap());
            if (!plan) return tl::unexpected(plan.error());
        }
        auto supervised = supervise(*plan);
        wipe_variable(plan->program.environment, kBootstrapVariable);
        wipe_scratch();
        return supervised;
    }

    void request_end(milliseconds grace) override {
        grace = std::min(grace, milliseconds(std::numeric_limits<std::uint32_t>::max()));
        const auto deadline = EventLoop::Clock::now() + grace;
        if (ended_ || (ending_ && deadline >= deadline_)) return;
        ending_ = true;
        grace_ = grace;
        deadline_ = deadline;
        const wire::EndGroup order{static_cast<std::uint32_t>(grace.count())};
        if (!shims_ || shims_->none_said_hello()) {
            send_to_guardian(order);
            expect_guardian_to_end(deadline_);
            return;
        }
        send_to_all(order);
        // No launcher is left then, and finish() has its time.
        if (guardian_done_) return;
        // The shims end their ranks with the full grace, and report; what a launcher does on its own
        // signals is cruder (srun kills at once, mpirun after a second), so it comes second.
        loop_.cancel(timer_);
        timer_ = loop_.call_at(deadline_ + kConfirmTime, [this] { end_launcher(); });
        end_launcher_if_idle();
    }

    void signal_ranks(int signal) override {
        // Whoever stops the ranks may stop this process after them.
        if (shims_ && signal == SIGSTOP) shims_->expect_suspension();
        send_to_all(wire::SignalRanks{signal});
        if (shims_ && signal == SIGCONT) shims_->end_suspension();
    }

    void write_input(const Bytes& bytes) override {
        // The guardian hands one message to all of its ranks; each shim has a rank of its own.
        const int last = options_.stdin_mode == wire::StdinMode::all && !direct_ ? options_.world_size : 1;
        for (int rank = 0; rank < last && options_.stdin_mode != wire::StdinMode::none; ++rank) {
            if (direct_ || !record(rank).exited) send_to_rank(rank, wire::RankInput{rank, bytes});
        }
        const int readers = options_.stdin_mode == wire::StdinMode::all         ? options_.world_size
                            : options_.stdin_mode == wire::StdinMode::rank_zero ? 1
                                                                                : 0;
        for (int rank = 0; rank < readers; ++rank) {
            if (!record(rank).exited) record(rank).input_queued += bytes.size();
        }
    }

    [[nodiscard]] bool input_has_room() const override {
        return std::ranges::all_of(ranks_, [](const RankRecord& record) { return record.input_queued < kInputQueue; });
    }

    void acknowledge_output(int rank, std::size_t bytes) override {
        const wire::RankOutputCredit credit{rank, bytes};
        if (rank < 0) {
            send_to_guardian(credit);
        } else {
            send_to_rank(rank, credit);
        }
    }

    void ask_for_tail(const wire::ReportTail& ask) override { send_to_rank(ask.rank, ask); }

    [[nodiscard]] const std::string& run_id() const override { return run_id_; }
    [[nodiscard]] TransportServer* transport() override { return transport_.get(); }

private:
    tl::expected<void, Failure> start_guardian(const std::string& run_directory) {
        GuardianClient::Callbacks guardian;
        guardian.on_message = [this](wire::Message&& message) { on_guardian(std::move(message)); };
        guardian.on_gone = [this](bool expected) { on_guardian_gone(expected); };
        const auto place = direct_ ? GuardianClient::Place::our_session : GuardianClient::Place::own_session;
        auto started = GuardianClient::start(loop_, run_id_, run_directory, place, std::move(guardian));
        if (!started) return tl::unexpected(started.error());
        guardian_ = std::move(*started);
        return {};
    }

    tl::expected<void, Failure> open_transport(const std::string& run_directory, std::uint32_t incarnation) {
        TransportServer::Options transport;
        transport.run_id = run_id_;
        transport.run_directory = run_directory;
        transport.world_size = options_.world_size;
        transport.incarnation = incarnation;
        transport.tcp = remote_;
        transport.advertise_address = options_.advertise_address;
        transport.heartbeat_timeout = options_.heartbeat_timeout;
        auto started = TransportServer::start(loop_, transport);
        if (!started) return tl::unexpected(started.error());
        transport_ = std::move(*started);
        if (!direct_) open_supervision();
        if (channels_ && callbacks_.on_listening) callbacks_.on_listening(*transport_);
        return {};
    }

    tl::expected<void, Failure> supervise(const LaunchPlan& plan) {
        auto order = supervise_order(options_, plan, run_id_, transport_ ? &transport_->bootstrap() : nullptr,
                                     channels_, master_port_.number());
        if (!order) return tl::unexpected(order.error());
        wire::Message message(std::move(*order));
        const bool sent = guardian_->send(message);
        auto& sent_order = std::get<wire::Supervise>(message);
        for (auto& rank : sent_order.ranks) wipe(rank.bootstrap);
        wipe_variable(sent_order.program.environment, kBootstrapVariable);
        wipe_variable(sent_order.program.environment, kAgentAddressVariable);
        if (sent) return {};
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message =
            "cannot start the group: its description is over the protocol's limits; make the environment or the "
            "arguments smaller";
        return tl::unexpected(std::move(failure));
    }

    void open_supervision() {
        ShimChannel::Callbacks callbacks;
        callbacks.on_hello = [this](int rank, const wire::ShimHello& hello) { shim_hello(rank, hello); };
        callbacks.on_message = [this](int rank, wire::Message&& message) { on_shim(rank, std::move(message)); };
        callbacks.on_lost = [this](int rank) { lose_shim(rank); };
        callbacks.on_unreachable = [this](int) { finish_if_confirmed(); };
        callbacks.on_violation = [this](const std::string& why) { lose(why); };
        shims_.emplace(loop_, *transport_, options_.world_size, std::move(callbacks));
    }

    // ---- what the guardian reports --------------------------------------------------------------

    void on_guardian(wire::Message&& message) {
        if (auto* exited = std::get_if<wire::LauncherExited>(&message)) {
            launcher_exited(std::move(*exited));
        } else if (const auto* failed = std::get_if<wire::RankNotStarted>(&message);
                   failed != nullptr && failed->rank < 0) {
            lose((direct_ ? "" : "launcher " + options_.launcher + ": ") + failed->message);
        } else if (auto* ended = std::get_if<wire::SupervisionEnded>(&message)) {
            guardian_ended(std::move(ended->surviving_pids));
        } else {
            on_report(std::move(message));
        }
    }

    void on_guardian_gone(bool expected) {
        guardian_gone_ = true;
        if (expected || ended_) return;
        // Its death signal ends what it started; shims end the rest.
        send_to_all(wire::EndGroup{0});
        lose("the guardian process ended unexpectedly; its ranks are being ended");
        guardian_ended({});
    }

    void launcher_exited(wire::LauncherExited&& report) {
        launcher_report_ = std::move(report);
        if (ending_) return;
        if (all_exited()) return end_leftovers();
        launcher_timer_ = loop_.call_after(kReportSettle, [this] { judge_launcher(); });
    }

    void judge_launcher() {
        if (!ending_ && !ended_ && !all_exited()) lose(launcher_failure());
    }

    [[nodiscard]] Failure launcher_failure() {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        for (int rank = 0; rank < options_.world_size; ++rank) {
            if (!record(rank).exited) failure.ranks.push_back(rank);
        }
        const auto& status = launcher_report_->status;
        const bool any = std::ranges::any_of(ranks_, [](const RankRecord& record) { return record.started; });
        failure.message = "launcher " + options_.launcher + " ended (" + to_string(status) + ") ";
        if (any && exits_with_abort_code_ && is_abort_code(status)) {
            failure.code = ReturnCode::execution_exception;
            failure.message += "as it does when a rank calls MPI_Abort with that code; see what it said above";
        } else {
            failure.message += any ? "before these ranks did" : "before any rank was started";
        }
        failure.exit = status;
        failure.stderr_tail = launcher_report_->stderr_tail;
        return failure;
    }

    // ---- what shims report ----------------------------------------------------------------------

    void on_shim(int rank, wire::Message&& message) {
        if (!std::holds_alternative<wire::SupervisionEnded>(message)) return on_report(std::move(message));
        record(rank).confirmed = true;
        shims_->release(rank);
        shim_is_done();
    }

    void lose_shim(int rank) {
        record(rank).shim_lost = true;
        lose(failure_of(rank, "the supervisor of rank " + std::to_string(rank) +
                                  " (rankexec-rank) ended unexpectedly, or its host cannot be reached any more"));
        shim_is_done();
    }

    [[nodiscard]] Failure failure_of(int rank, std::string message) {
        const auto& entry = record(rank);
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = std::move(message);
        failure.rank = rank;
        failure.host = entry.host;
        failure.pid = entry.pid;
        return failure;
    }

    /// Nothing more will come from its shim.
    static bool is_done(const RankRecord& entry) { return entry.confirmed || entry.shim_lost; }

    void shim_is_done() {
        dismiss_shims();
        end_launcher_if_idle();
        finish_if_confirmed();
    }

    /// A shim whose rank failed stays until all are done, because its launcher would end the others.
    void dismiss_shims() {
        if (std::ranges::all_of(ranks_, is_done)) send_to_all(wire::Dismiss{});
    }

    void shim_hello(int rank, const wire::ShimHello& hello) {
        auto& entry = record(rank);
        if (patience_timer_ == 0) patience_timer_ = loop_.call_after(kStartPatience, [this] { name_missing_shims(); });
        entry.host = hello.host;
        entry.local_rank = hello.local_rank;
        entry.local_world_size = hello.local_world_size;
        if (!hello.step.empty() && step_ != hello.step) {
            step_ = hello.step;
            send_to_guardian(wire::LauncherStep{step_});
        }
        if (ending_) {
            shims_->send(rank, wire::EndGroup{static_cast<std::uint32_t>(grace_.count())});
            return;
        }
        // Where the ranks meet is known when rank 0's host is.
        if (!shims_->said_hello(0)) return;
        // A launcher that tells no local ranks leaves the counting to us, and that needs every host.
        if (!shims_->all_said_hello() && !all_are_placed()) return;
        for (int other = 0; other < options_.world_size; ++other) set_up_shim(other);
    }

    /// Whether the launcher has told the place on its host of every rank that has come.
    [[nodiscard]] bool all_are_placed() const {
        for (int rank = 0; rank < options_.world_size; ++rank) {
            const auto& entry = ranks_[static_cast<std::size_t>(rank)];
            if (shims_->said_hello(rank) && (entry.local_rank < 0 || entry.local_world_size < 1)) return false;
        }
        return true;
    }

    /// Some launchers start what they can and wait for the rest for ever.
    void name_missing_shims() {
        std::vector<int> missing;
        for (int rank = 0; rank < options_.world_size; ++rank) {
            if (!shims_->said_hello(rank)) missing.push_back(rank);
        }
        if (missing.empty() || ending_) return;
        log::warning("launcher " + options_.launcher + " has not started " + name_ranks(missing) + " yet, " +
                     std::to_string(std::chrono::duration_cast<std::chrono::seconds>(kStartPatience).count()) +
                     " s after the first one");
    }

    /// LOCAL_RANK and LOCAL_WORLD_SIZE, as far as the launcher does not tell them.
    void add_local_place(std::vector<std::string>& environment, int rank) {
        const auto& own = record(rank);
        const auto here = [&](const RankRecord& other) { return other.host == own.host; };
        if (own.local_rank < 0) {
            const auto before = std::count_if(ranks_.begin(), ranks_.begin() + rank, here);
            set_environment_value(environment, "LOCAL_RANK", std::to_string(before));
        }
        if (own.local_world_size < 1) {
            const auto all = std::count_if(ranks_.begin(), ranks_.end(), here);
            set_environment_value(environment, "LOCAL_WORLD_SIZE", std::to_string(all));
        }
    }

    void set_up_shim(int rank) {
        auto& entry = record(rank);
        if (!shims_->said_hello(rank) || entry.started || set_up_[static_cast<std::size_t>(rank)]) return;
        set_up_[static_cast<std::size_t>(rank)] = true;
        const bool here = !shims_->is_elsewhere(0);
        wire::ShimSetup setup;
        setup.environment =
            added_environment(options_, run_id_, here ? "127.0.0.1" : record(0).host, master_port_.number());
        add_local_place(setup.environment, rank);
        if (!channels_) set_environment_value(setup.environment, kForeignProgramVariable, "1");
        setup.log_directory = options_.log_directory;
        setup.stdin_mode = options_.stdin_mode;
        setup.forward_output = options_.forward_output;
        setup.orphan_grace_ms = orphan_grace_ms_;
        wire::Message message(std::move(setup));
        shims_->send(rank, message);
        wipe_variable(std::get<wire::ShimSetup>(message).environment, kAgentAddressVariable);
    }

    // ---- what both report -----------------------------------------------------------------------

    void on_report(wire::Message&& message) {
        if (auto* started = std::get_if<wire::RankStarted>(&message)) {
            auto& entry = record(started->rank);
            entry.started = true;
            entry.pid = started->pid;
            if (!started->host.empty()) entry.host = started->host;
            if (callbacks_.on_started) callbacks_.on_started(*started);
        } else if (auto* failed = std::get_if<wire::RankNotStarted>(&message)) {
            wire::RankExited exited;
            exited.rank = failed->rank;
            exited.status.number = code_of_start_error(failed->error);
            exited.stderr_tail = {failed->message};
            rank_exited(std::move(exited));
        } else if (auto* output = std::get_if<wire::RankOutput>(&message)) {
            if (callbacks_.on_output) {
                callbacks_.on_output(std::move(*output));
            } else {
                acknowledge_output(output->rank, output->bytes.size());
            }
        } else if (auto* exited = std::get_if<wire::RankExited>(&message)) {
            rank_exited(std::move(*exited));
        } else if (const auto* signalled = std::get_if<wire::RankSignalled>(&message)) {
            if (callbacks_.on_signalled) callbacks_.on_signalled(*signalled);
        } else if (auto* tail = std::get_if<wire::TailReport>(&message)) {
            if (callbacks_.on_tail) callbacks_.on_tail(std::move(*tail));
        } else if (const auto* end = std::get_if<wire::RankOutputEnd>(&message)) {
            if (end->rank >= 0) record(end->rank).output_ended = true;
            if (callbacks_.on_output_end) callbacks_.on_output_end(*end);
            finish_if_confirmed();
        } else if (const auto* taken = std::get_if<wire::RankInputTaken>(&message)) {
            input_taken(taken->rank, taken->bytes);
        }
    }

    void input_taken(int rank, std::uint64_t bytes) {
        const bool had_room = input_has_room();
        auto& queued = record(rank).input_queued;
        queued -= std::min(queued, bytes);
        if (!had_room && input_has_room() && callbacks_.on_input_room) callbacks_.on_input_room();
    }

    void rank_exited(wire::RankExited&& report) {
        auto& entry = record(report.rank);
        if (entry.exited) return;
        entry.exited = true;
        if (report.by_us && !ending_ && !ended_unasked_) ended_unasked_ = unasked_failure(report);
        if (!report.by_us && !report.status.success()) failed_by_itself_ = true;
        input_taken(report.rank, entry.input_queued);
        if (callbacks_.on_exited) callbacks_.on_exited(report);
        if (launcher_report_ && !ending_ && all_exited()) end_leftovers();
        finish_if_confirmed();
    }

    /// Nobody here has told its supervisor to.
    [[nodiscard]] Failure unasked_failure(const wire::RankExited& report) {
        auto failure = failure_of(
            report.rank, "rank " + std::to_string(report.rank) +
                             " was ended by its supervisor, without an order from here: either its launcher or "
                             "somebody else has ended that one, or it had lost its connection to this process");
        failure.exit = report.status;
        failure.stderr_tail = report.stderr_tail;
        return failure;
    }

    // ---- ending ---------------------------------------------------------------------------------

    /// Ranks and launcher have ended by themselves; a daemon that either left must not keep the group.
    void end_leftovers() { request_end(options_.grace); }

    void lose(const std::string& message) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = message;
        lose(failure);
    }

    void lose(const Failure& failure) {
        if (lost_ || ended_) return;
        lost_ = true;
        if (callbacks_.on_lost) callbacks_.on_lost(failure);
        if (!ending_) request_end(options_.grace);
    }

    /// Once every rank is gone the launcher has nothing to wait for; some wait anyway.
    void end_launcher_if_idle() {
        if (direct_ || !ending_ || guardian_done_ || !std::ranges::all_of(ranks_, is_done)) return;
        loop_.cancel(timer_);
        timer_ = loop_.call_after(kLauncherExit, [this] { end_launcher(); });
    }

    void end_launcher() {
        if (launcher_ended_) return;
        launcher_ended_ = true;
        const auto grace = std::min(kLauncherGrace, grace_);
        send_to_guardian(wire::EndGroup{static_cast<std::uint32_t>(grace.count())});
        expect_guardian_to_end(EventLoop::Clock::now() + grace);
    }

    /// It may be stopped, or wait for a file system that does not answer.
    void expect_guardian_to_end(EventLoop::Clock::time_point deadline) {
        loop_.cancel(guardian_timer_);
        guardian_timer_ = loop_.call_at(deadline + kGuardianPatience, [this] {
            if (guardian_done_ || guardian_gone_) return;
            log::error("the guardian, pid " + std::to_string(guardian_->pid()) +
                       ", does not answer any more; it is being killed, and with it its ranks");
            guardian_->kill();
        });
    }

    void guardian_ended(std::vector<std::int64_t> survivors) {
        survivors_ = std::move(survivors);
        guardian_done_ = true;
        finish_if_confirmed();
        if (ended_) return;
        loop_.cancel(timer_);
        timer_ = loop_.call_after(kRemoteConfirm, [this] { finish(); });
    }

    /// Shims on this host were ended with the guardian's sweep, but their last reports may come after
    /// the guardian's, output too; others have to confirm the end themselves.
    void finish_if_confirmed() {
        if (!guardian_done_ || ended_) return;
        for (int rank = 0; rank < options_.world_size; ++rank) {
            const auto& entry = record(rank);
            if (direct_ || !shims_->said_hello(rank) || is_done(entry)) continue;
            if (is_elsewhere(rank) || !entry.exited) return;
            if (!entry.output_ended && !shims_->is_unreachable(rank)) return;
        }
        finish();
    }

    void finish() {
        if (ended_) return;
        ended_ = true;
        loop_.cancel(timer_);
        loop_.cancel(launcher_timer_);
        if (shims_) shims_->release_all();
        loop_.cancel(patience_timer_);
        loop_.cancel(guardian_timer_);
        // Everything is over before the launcher was judged.
        if (launcher_report_ && !ending_ && !lost_ && !all_exited() && callbacks_.on_lost) {
            callbacks_.on_lost(launcher_failure());
        } else if (ended_unasked_ && !failed_by_itself_ && !lost_ && callbacks_.on_lost) {
            // Launchers end the other ranks when one fails: then that is the reason.
            callbacks_.on_lost(*ended_unasked_);
        }
        wire::SupervisionEnded report{survivors_};
        for (int rank = 0; rank < options_.world_size; ++rank) {
            const auto& entry = record(rank);
            if (!is_elsewhere(rank) || entry.confirmed) continue;
            log::warning("rank " + std::to_string(rank) + " on " + entry.host + " has not confirmed its end");
            if (entry.pid != 0) report.surviving_pids.push_back(entry.pid);
        }
        // May destroy this object.
        if (callbacks_.on_ended) callbacks_.on_ended(report);
    }

    [[nodiscard]] bool is_elsewhere(int rank) const { return shims_ && shims_->is_elsewhere(rank); }
    [[nodiscard]] bool all_exited() const {
        // One that was never started, because the end came first, is only confirmed.
        return std::ranges::all_of(ranks_, [](const RankRecord& record) { return record.exited || is_done(record); });
    }
    RankRecord& record(int rank) { return ranks_.at(static_cast<std::size_t>(rank)); }

    // ---- sending --------------------------------------------------------------------------------

    void send_to_guardian(const wire::Message& message) {
        if (guardian_ && !guardian_gone_) guardian_->send(message);
    }
    void send_to_rank(int rank, const wire::Message& message) {
        if (direct_) {
            send_to_guardian(message);
        } else if (shims_) {
            shims_->send(rank, message);
        }
    }
    void send_to_all(const wire::Message& message) {
        if (direct_) {
            send_to_guardian(message);
        } else if (shims_) {
            shims_->send_to_all(message);
        }
    }

    EventLoop& loop_;
    GroupOptions options_;
    Callbacks callbacks_;
    std::string run_id_;
    std::string step_;
    bool direct_ = true;
    bool channels_ = false;
    bool exits_with_abort_code_ = false;
    bool remote_ = false;
    std::uint32_t orphan_grace_ms_ = 0;
    MasterPort master_port_;
    std::vector<RankRecord> ranks_;
    std::vector<bool> set_up_ = std::vector<bool>(ranks_.size(), false);
    std::unique_ptr<TransportServer> transport_;
    std::optional<ShimChannel> shims_;  ///< unless the ranks are the guardian's own
    std::unique_ptr<GuardianClient> guardian_;
    std::optional<wire::LauncherExited> launcher_report_;
    milliseconds grace_{0};
    EventLoop::Clock::time_point deadline_{};  ///< of the grace
    EventLoop::TimerId timer_ = 0;
    EventLoop::TimerId launcher_timer_ = 0;
    EventLoop::TimerId patience_timer_ = 0;
    EventLoop::TimerId guardian_timer_ = 0;
    std::vector<std::int64_t> survivors_;
    bool ending_ = false;
    std::optional<Failure> ended_unasked_;  ///< of the first rank that its supervisor ended by itself
    bool failed_by_itself_ = false;         ///< any rank
    bool lost_ = false;
    bool launcher_ended_ = false;
    bool guardian_done_ = false;
    bool guardian_gone_ = false;
    bool ended_ = false;
};

}  // namespace

tl::expected<std::unique_ptr<RankGroup>, Failure> RankGroup::start(EventLoop& loop, const GroupOptions& options,
                                                                   Callbacks callbacks, bool channels,
                                                                   std::uint32_t incarnation) {
    check_group_options(options);
    try {
        auto group = std::make_unique<GuardedRankGroup>(loop, options, std::move(callbacks));
        if (const auto launched = group->launch(channels, incarnation); !launched) {
            return tl::unexpected(launched.error());
        }
        return group;
    } catch (const ConfigurationError&) {
        throw;
    } catch (const std::exception& error) {
        // Descriptors or memory ran out between the check and the use.
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = std::string("the group could not be started: ") + error.what();
        return tl::unexpected(failure);
    }
}

}  // namespace rankexec
