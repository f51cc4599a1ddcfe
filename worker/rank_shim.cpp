// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_shim.hpp"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <variant>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/process/supervisor.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/listed_pid.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/channel/peer_channels.hpp"
#include "rankexec/worker/rank_environment.hpp"
#include "rankexec/worker/rank_shim_options.hpp"

namespace rankexec::worker {
namespace {

using std::chrono::milliseconds;

/// For the first connection to be made and authenticated.
constexpr milliseconds kConnectTime{20'000};
/// A lost connection that is not back within this time ends the lease.
constexpr milliseconds kLeaseTime{1000};
/// But not so soon after a suspension of the parent, whose heartbeats may find connections silent that were made
/// meanwhile, and who has all shims to take back at once.
constexpr milliseconds kLeaseAfterSuspension{10'000};
/// For the last reports to leave.
constexpr milliseconds kLinger{2000};

constexpr int kNotFound = 127;
constexpr int kNotExecutable = 126;

void complain(const std::string& what) { std::fprintf(stderr, "rankexec-rank: %s\n", what.c_str()); }

/// How long a program may take to end after its launcher sent SIGTERM. Longer than the launcher itself
/// waits would leave the program's own children behind when the shim is killed.
milliseconds launcher_grace(const std::string& launcher, milliseconds orphan_grace) {
    if (launcher == "mpirun") return std::min(orphan_grace, milliseconds(700));  // it kills after one second
    // Time limits and preemption: these wait for 30 s, and programs save their work meanwhile.
    if (launcher == "srun" || launcher == "torchrun") return milliseconds(25'000);
    return orphan_grace;
}

std::vector<std::string> current_environment() {
    std::vector<std::string> environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) environment.emplace_back(*entry);
    return environment;
}

/// Blocks the signals that ask for an end, in this thread and those that it will start, and gives a
/// descriptor that is readable once one has come. SIGCHLD is blocked early for the same reason.
UniqueFd block_ending_signals() {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) sigaddset(&ending, number);
    sigset_t blocked = ending;
    sigaddset(&blocked, SIGCHLD);
    ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
    return UniqueFd(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
}

class RankShim {
public:
    RankShim(ShimArguments arguments, Bootstrap bootstrap, LaunchedRank launched, UniqueFd signals)
        : arguments_(std::move(arguments)),
          bootstrap_(std::move(bootstrap)),
          launched_(std::move(launched)),
          signals_(std::move(signals)) {}

    int run() {
        loop_.watch(signals_.get(), EPOLLIN, [this](std::uint32_t) { on_signal(); });
        auto channels =
            PeerChannels::connect(loop_, bootstrap_, PeerRole::shim, rank(), {ChannelKind::supervision}, callbacks());
        if (!channels) {
            complain("rank " + std::to_string(rank()) + ": " + channels.error());
            return kShimFailed;
        }
        channels_ = std::move(*channels);
        send(hello());
        connect_timer_ = loop_.call_after(kConnectTime, [this] { end_lease("the parent does not answer"); });
        loop_.run();
        channels_->close(connected_ && !lease_over_ ? kLinger : milliseconds(0));
        return exit_code_;
    }

private:
    [[nodiscard]] int rank() const { return launched_.place.rank; }

    PeerChannels::Callbacks callbacks() {
        PeerChannels::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, wire::Message&& message) { on_message(std::move(message)); };
        callbacks.on_bad_body = [this](ChannelKind, std::uint16_t, const wire::DecodeError& error) {
            end_lease(error.message);
        };
        callbacks.on_broken = [this](const std::string& why) { end_lease(why); };
        callbacks.on_connected = [this](ChannelKind) { on_connected(); };
        callbacks.on_disconnected = [this](ChannelKind) { on_disconnected(); };
        callbacks.on_confirmed = [this](ChannelKind) { leave_if_done(); };
        callbacks.on_unreachable = [this](ChannelKind) { start_lease_timer(); };
        return callbacks;
    }

    [[nodiscard]] wire::ShimHello hello() const {
        wire::ShimHello hello;
        hello.pid = listed_pid();
        hello.host = host_name();
        hello.local_rank = launched_.place.local_rank;
        hello.local_world_size = launched_.place.local_world_size;
        hello.world_size = launched_.place.world_size;
        hello.step = launched_.step;
        return hello;
    }

    // ---- what the parent says -------------------------------------------------------------------

    void on_message(wire::Message&& message) {
        if (auto* setup = std::get_if<wire::ShimSetup>(&message)) {
            if (!supervisor_ && !ended_) start(std::move(*setup));
        } else if (const auto* end = std::get_if<wire::EndGroup>(&message)) {
            end_group(milliseconds(end->grace_ms));
        } else if (std::holds_alternative<wire::Dismiss>(message)) {
            stay_ = false;
            parent_runs();
        } else {
            if (const auto* signal = std::get_if<wire::SignalRanks>(&message)) on_ranks_signal(signal->signal);
            // What has ended has said its last word, and would be waited for if it said more.
            if (supervisor_ && !ended_) supervisor_->handle(std::move(message));
        }
    }

    void on_ranks_signal(int signal) {
        if (signal == SIGSTOP) {
            parent_suspended_ = true;
            if (!told_to_leave_) loop_.cancel(std::exchange(linger_timer_, 0));
            // The connection may have been cut before this was read.
            loop_.cancel(std::exchange(lease_timer_, 0));
        } else if (signal == SIGCONT && parent_suspended_) {
            patient_until_ = EventLoop::Clock::now() + kLeaseAfterSuspension;
            parent_runs();
        }
    }

    void parent_runs() {
        parent_suspended_ = false;
        if (connect_timer_ == 0) start_lease_timer();
        leave_if_done();
    }

    void end_group(milliseconds grace) {
        if (ended_) return;  // The order has crossed our report of the end.
        if (supervisor_) {
            supervisor_->request_end(grace);
        } else {
            exit_code_ = 128 + SIGTERM;
            on_ended({});
        }
    }

    // ---- the rank's program ---------------------------------------------------------------------

    void start(wire::ShimSetup&& setup) {
        orphan_grace_ = milliseconds(setup.orphan_grace_ms);
        auto environment =
            rank_environment(arguments_.launcher, current_environment(), launched_.place, setup.environment);
        if (!environment) return not_started(environment.error());
        try {
            make_supervisor(setup);
        } catch (const std::exception& error) {
            return not_started(error.what());
        }
        wire::ProgramSpec program;
        program.argv = arguments_.program;
        program.environment = std::move(*environment);
        wire::RankSpec spec;
        spec.rank = rank();
        if (environment_value(setup.environment, kForeignProgramVariable) != "1") spec.bootstrap = rank_bootstrap();
        supervisor_->start_rank(program, spec);
        wipe(spec.bootstrap);
        wipe_scratch();
        supervisor_->all_started();
    }

    void make_supervisor(const wire::ShimSetup& setup) {
        process::Supervisor::Options options;
        options.host = host_name();
        options.graceful.signal = SIGTERM;
        options.forced.signal = SIGKILL;
        options.death_signal = SIGKILL;
        options.log_directory = setup.log_directory;
        options.stdin_mode = setup.stdin_mode;
        options.forward_output = setup.forward_output;
        options.output_credit = setup.output_credit;
        // Other ranks of the run may be on this host, each with a shim of its own.
        options.marks = {"RANKEXEC_RUN_ID=" + bootstrap_.run_id, "RANKEXEC_RUN_RANK=" + std::to_string(rank())};
        process::Supervisor::Callbacks callbacks;
        callbacks.report = [this](wire::Message&& message) { report(message); };
        callbacks.on_ended = [this](std::vector<std::int64_t> surviving) { on_ended(std::move(surviving)); };
        supervisor_.emplace(loop_, std::move(options), std::move(callbacks));
    }

    [[nodiscard]] Bytes rank_bootstrap() const {
        auto text = bootstrap_.for_rank(rank()).to_text();
        const auto* begin = reinterpret_cast<const std::byte*>(text.data());
        Bytes bytes(begin, begin + text.size());
        wipe(text);
        wipe_scratch();
        return bytes;
    }

    void not_started(const std::string& why) {
        report(wire::RankNotStarted{rank(), EINVAL, why});
        on_ended({});
    }

    void report(const wire::Message& message) {
        if (const auto* exited = std::get_if<wire::RankExited>(&message)) {
            exit_code_ = exited->status.shell_code();
        } else if (const auto* failed = std::get_if<wire::RankNotStarted>(&message)) {
            exit_code_ = failed->error == ENOENT || failed->error == ENOTDIR ? kNotFound : kNotExecutable;
        }
        send(message);
    }

    void send(const wire::Message& message) {
        if (const auto sent = channels_->send(ChannelKind::supervision, message); !sent) complain(sent.error());
    }

    // ---- the end --------------------------------------------------------------------------------

    void on_ended(std::vector<std::int64_t> surviving_pids) {
        ended_ = true;
        send(wire::SupervisionEnded{std::move(surviving_pids)});
        leave_if_done();
    }

    void leave_if_done() {
        if (!ended_ || (exit_code_ != 0 && stay_)) return;
        // The last reports may be lost with a connection, and leave again with the next one.
        if (lease_over_ || channels_->all_confirmed(ChannelKind::supervision)) return loop_.stop();
        // Without a connection the lease ends this, and a suspended parent is waited for.
        if (linger_timer_ == 0 && (told_to_leave_ || (connected_ && !parent_suspended_))) {
            const auto soon = EventLoop::Clock::now() + kLinger;
            linger_timer_ =
                loop_.call_at(told_to_leave_ ? soon : std::max(soon, patient_until_), [this] { loop_.stop(); });
        }
    }

    void on_signal() {
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) > 0) {
        }
        stay_ = false;
        told_to_leave_ = true;
        if (ended_) {
            loop_.cancel(std::exchange(linger_timer_, 0));
            leave_if_done();
        } else if (!supervisor_) {
            exit_code_ = 128 + static_cast<int>(info.ssi_signo);
            loop_.stop();
        } else {
            supervisor_->request_end(launcher_grace(arguments_.launcher, orphan_grace_));
        }
    }

    // ---- the lease ------------------------------------------------------------------------------

    void on_connected() {
        connected_ = true;
        loop_.cancel(connect_timer_);
        loop_.cancel(lease_timer_);
        connect_timer_ = lease_timer_ = 0;
        leave_if_done();
    }

    void on_disconnected() {
        connected_ = false;
        if (!told_to_leave_) loop_.cancel(std::exchange(linger_timer_, 0));
        if (connect_timer_ == 0) start_lease_timer();
    }

    void start_lease_timer() {
        // A suspended parent cannot answer. Should it die so, the guardian ends the launcher, and the launcher ends us.
        if (lease_timer_ != 0 || connected_ || parent_suspended_) return;
        lease_timer_ = loop_.call_at(std::max(EventLoop::Clock::now() + kLeaseTime, patient_until_),
                                     [this] { end_lease("the connection to the parent is lost"); });
    }

    void end_lease(const std::string& why) {
        if (lease_over_) return;
        lease_over_ = true;
        stay_ = false;
        if (ended_) return leave_if_done();
        log::warning(why + "; the rank is being ended");
        if (!supervisor_) {
            loop_.stop();
        } else {
            supervisor_->stop_forwarding();
            supervisor_->request_end(orphan_grace_);
        }
    }

    ShimArguments arguments_;
    Bootstrap bootstrap_;
    LaunchedRank launched_;
    UniqueFd signals_;
    EventLoop loop_;
    std::unique_ptr<PeerChannels> channels_;
    std::optional<process::Supervisor> supervisor_;  ///< from ShimSetup on
    EventLoop::TimerId connect_timer_ = 0;
    EventLoop::TimerId lease_timer_ = 0;
    EventLoop::TimerId linger_timer_ = 0;  ///< for the parent to confirm the last reports
    bool connected_ = false;
    milliseconds orphan_grace_{0};
    int exit_code_ = kShimFailed;
    bool ended_ = false;  ///< nothing of the rank is left
    bool parent_suspended_ = false;
    EventLoop::Clock::time_point patient_until_ = EventLoop::Clock::time_point::min();
    bool lease_over_ = false;     ///< nobody listens any more
    bool told_to_leave_ = false;  ///< by a signal, and may be killed soon
    bool stay_ = true;            ///< with a failed rank, until the parent dismisses us
};

}  // namespace

int run_rank_shim(const std::vector<std::string>& arguments) {
    auto signals = block_ending_signals();
    auto parsed = parse_shim_arguments(arguments);
    if (!parsed) {
        complain(parsed.error() +
                 "\nIt is started by launchers, on behalf of rankexec, and not by hand:\n"
                 "    rankexec-rank --launcher NAME [--encoded] -- PROGRAM [ARGUMENT...]");
        return 2;
    }
    auto bootstrap = take_bootstrap();
    if (!bootstrap) {
        complain(bootstrap.error());
        return kShimFailed;
    }
    auto launched = read_launched_rank(parsed->launcher, current_environment(), bootstrap->world_size);
    if (!launched) {
        complain(launched.error());
        return kShimFailed;
    }
    log::set_role("shim of rank " + std::to_string(launched->place.rank));
    RankShim shim(std::move(*parsed), std::move(*bootstrap), std::move(*launched), std::move(signals));
    return shim.run();
}

}  // namespace rankexec::worker
