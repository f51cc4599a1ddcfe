// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/supervisor.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include "rankexec/core/system/listed_pid.hpp"

namespace rankexec::process {
namespace {

using std::chrono::milliseconds;

/// What ranks leave behind gets this long after SIGTERM.
constexpr milliseconds kLeftoverGrace{250};
/// A forced step's command (scancel) gets this long before everything is killed anyway.
constexpr milliseconds kCommandTime{1000};
/// After SIGKILL: what has not even begun to end by then cannot be killed ...
constexpr milliseconds kKillTime{2000};
/// ... and what has begun may have much memory to give back.
constexpr milliseconds kCleanUpTime{10'000};
/// Once an end was asked for, output that nobody takes does not delay it longer than this.
constexpr milliseconds kUnclaimedOutputTime{500};

constexpr std::string_view kStepPlaceholder = "{step}";

/// Raises our own limit of open descriptors; what we start gets the old one, which is returned.
std::optional<rlimit> raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return std::nullopt;
    const rlimit raised{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) return std::nullopt;
    return limit;
}

Belonging belonging(const Supervisor::Options& options) {
    Belonging belonging{::getpid(), options.marks, {}};
    if (options.control_group) belonging.control_groups.push_back(options.control_group->folder());
    return belonging;
}

template <typename... Handlers>
struct Overloaded : Handlers... {
    using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

}  // namespace

Supervisor::Supervisor(EventLoop& loop, Options options, Callbacks callbacks)
    : loop_(loop),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      descriptor_limit_(raise_descriptor_limit()),
      control_group_(options_.control_group ? options_.control_group->open() : UniqueFd()),
      reaper_(loop, [this](pid_t pid, const ExitStatus& status) { on_exit(pid, status); }),
      sweep_(loop, belonging(options_), [this] {
          reaper_.collect();
          return std::exchange(adopted_ended_, false);
      }) {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
}

Supervisor::~Supervisor() { loop_.cancel(timer_); }

ChildRequest Supervisor::child_request(const wire::ProgramSpec& program) const {
    ChildRequest request;
    request.argv = program.argv;
    request.environment = program.environment;
    request.directory = program.directory;
    request.death_signal = options_.death_signal;
    request.descriptor_limit = descriptor_limit_;
    // Descriptors of a run around us mean nothing here.
    remove_variable(request.environment, "RANKEXEC_BOOTSTRAP_FD");
    remove_variable(request.environment, "RANKEXEC_PARENT_PIDFD");
    return request;
}

std::string Supervisor::log_stem(std::int32_t rank) const {
    if (options_.log_directory.empty()) return {};
    std::error_code ignored;  // opening the log itself says what is wrong
    std::filesystem::create_directories(options_.log_directory, ignored);
    const bool launcher = rank == SupervisedProcess::kLauncher;
    return options_.log_directory + (launcher ? "/launcher" : "/rank-" + std::to_string(rank));
}

SupervisedProcess& Supervisor::add_process(std::int32_t rank) {
    SupervisedProcess::Options options;
    options.rank = rank;
    options.host = options_.host;
    options.log_stem = log_stem(rank);
    options.forward_output = options_.forward_output && forwarding_;
    options.output_credit = options_.output_credit;
    options.has_input =
        rank != SupervisedProcess::kLauncher && (options_.stdin_mode == wire::StdinMode::all ||
                                                 (options_.stdin_mode == wire::StdinMode::rank_zero && rank == 0));
    return processes_.emplace_back(loop_, std::move(options),
                                   SupervisedProcess::Callbacks{callbacks_.report, [this] { finish_if_drained(); }});
}

void Supervisor::not_started(std::int32_t rank, const StartError& error) {
    processes_.pop_back();
    callbacks_.report(wire::RankNotStarted{rank, error.error, error.message});
}

void Supervisor::start_rank(const wire::ProgramSpec& program, const wire::RankSpec& rank) {
    auto request = child_request(program);
    request.control_group = control_group_.get();
    request.environment = merge(std::move(request.environment), rank.environment);
    if (options_.parent_pidfd >= 0) {
        request.inherited.push_back(options_.parent_pidfd);
        set_variable(request.environment, "RANKEXEC_PARENT_PIDFD", std::to_string(options_.parent_pidfd));
    }
    for (const auto& mark : options_.marks) request.environment = merge(std::move(request.environment), {mark});
    auto& process = add_process(rank.rank);
    const auto started = process.start(std::move(request), rank.bootstrap);
    if (!started) return not_started(rank.rank, started.error());
    callbacks_.report(wire::RankStarted{rank.rank, listed_pid(process.pid()), options_.host});
}

void Supervisor::start_launcher(const wire::ProgramSpec& command) {
    has_launcher_ = true;
    auto request = child_request(command);
    request.control_group = control_group_.get();
    request.environment = merge(std::move(request.environment), options_.marks);
    command_environment_ = request.environment;
    const auto started = add_process(SupervisedProcess::kLauncher).start(std::move(request), {});
    if (!started) not_started(SupervisedProcess::kLauncher, started.error());
}

void Supervisor::all_started() {
    all_started_ = true;
    if (options_.control_group) {
        std::vector<pid_t> pids;
        for (const auto& process : processes_) pids.push_back(process.pid());
        options_.control_group->admit(std::move(pids));
    }
    check_all_exited();
}

SupervisedProcess* Supervisor::find(std::int32_t rank) {
    const auto found = std::find_if(processes_.begin(), processes_.end(),
                                    [rank](const SupervisedProcess& process) { return process.rank() == rank; });
    return found == processes_.end() ? nullptr : &*found;
}

bool Supervisor::anything_running() const {
    return std::any_of(processes_.begin(), processes_.end(),
                       [](const SupervisedProcess& process) { return process.running(); });
}

void Supervisor::handle(wire::Message&& message) {
    const auto to_input = [&](wire::RankInput& input) {
        if (options_.stdin_mode == wire::StdinMode::all) {
            for (auto& process : processes_) process.write_input(input.bytes);
        } else if (auto* process = find(input.rank)) {
            process->write_input(std::move(input.bytes));
        }
    };
    std::visit(Overloaded{[&](wire::RankOutputCredit& credit) {
                              if (auto* process = find(credit.rank)) process->grant_output(credit.bytes);
                          },
                          to_input,
                          [&](wire::SignalRanks& signal) {
                              if (has_launcher_) return;  // its ranks have supervisors of their own
                              for (auto& process : processes_) {
                                  process.signal_group(signal.signal);
                                  callbacks_.report(wire::RankSignalled{process.rank(), signal.signal});
                              }
                          },
                          [&](wire::EndGroup& end) { request_end(milliseconds(end.grace_ms)); },
                          [&](wire::ReportTail& ask) {
                              if (auto* process = find(ask.rank)) process->report_tail(ask.call);
                          },
                          [&](wire::LauncherStep& step) { launcher_step_ = std::move(step.step); }, [](auto&) {}},
               message);
}

void Supervisor::on_exit(pid_t pid, const ExitStatus& status) {
    if (pid == command_pid_) {
        command_pid_ = 0;
        if (auto then = std::exchange(on_command_end_, nullptr)) loop_.post(std::move(then));
        return;
    }
    for (auto& process : processes_) {
        if (!process.running() || process.pid() != pid) continue;
        const bool killed = status.signalled && status.number == SIGKILL;
        process.exited(status, end_requested_, killed && !end_requested_ && memory_.claim_kill());
        check_all_exited();
        return;
    }
    if (pid == options_.namespace_init) {
        options_.namespace_init = 0;
        return;
    }
    adopted_ended_ = true;
    if (phase_ == Phase::forced) Sweep::kill_kin(pid);
}

void Supervisor::check_all_exited() {
    if (!all_started_ || anything_running()) return;
    if (phase_ == Phase::running) {
        phase_ = Phase::leftovers;
        end_leftovers();
    } else if (phase_ == Phase::graceful) {
        end_leftovers();
    }
}

void Supervisor::end_leftovers() {
    Sweep::Plan plan;
    plan.excepted = {command_pid_, options_.namespace_init};
    if (has_launcher_) {
        // A launcher may return before its ranks do: they may go on unless an end was asked for, and
        // have the whole grace then.
        plan.signal = phase_ == Phase::graceful ? SIGTERM : 0;
        plan.time = milliseconds(-1);
    } else {
        plan.signal = SIGTERM;
        plan.time = kLeftoverGrace;
    }
    sweep_.start(plan, [this](const std::vector<ProcessInfo>& left) { left.empty() ? all_gone() : force(); });
}

void Supervisor::request_end(milliseconds grace) {
    end_requested_ = true;
    const auto deadline = Clock::now() + grace;
    switch (phase_) {
        case Phase::running:
        case Phase::leftovers: deadline_ = deadline; return grace.count() == 0 ? force() : begin_graceful();
        case Phase::graceful:
            if (deadline >= deadline_) return;
            deadline_ = deadline;
            loop_.cancel(timer_);
            timer_ = loop_.call_at(deadline_, [this] { force(); });
            return;
        case Phase::draining: return limit_draining();
        case Phase::forced:
        case Phase::ended: return;
    }
}

void Supervisor::begin_graceful() {
    phase_ = Phase::graceful;
    timer_ = loop_.call_at(deadline_, [this] { force(); });
    if (!anything_running()) return end_leftovers();
    // Without the launcher's step, which the first shim tells, no rank's program has been started: there is
    // nothing to be graceful about, and the launcher still listens to the signal of the forced step.
    const bool needs_step = options_.graceful.signal == 0;
    const int signal =
        run_command(options_.graceful) || !needs_step ? options_.graceful.signal : options_.forced.signal;
    for (auto& process : processes_) {
        if (has_launcher_) {
            process.signal_process(signal);
        } else {
            process.signal_group(signal);
        }
    }
}

bool Supervisor::run_command(const wire::EndingStep& step) {
    if (step.command.empty()) return false;
    ChildRequest request;
    request.argv = step.command;
    request.environment = command_environment_;
    request.death_signal = SIGKILL;
    request.descriptor_limit = descriptor_limit_;
    for (auto& argument : request.argv) {
        const auto place = argument.find(kStepPlaceholder);
        if (place == std::string::npos) continue;
        if (launcher_step_.empty()) return false;
        argument.replace(place, kStepPlaceholder.size(), launcher_step_);
    }
    const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!nothing.valid()) return false;
    request.standard_input = request.standard_output = request.standard_error = nothing.get();
    const auto pid = start_child(request);
    if (!pid) return false;
    command_pid_ = *pid;
    return true;
}

void Supervisor::force() {
    if (phase_ == Phase::forced) return;
    phase_ = Phase::forced;
    loop_.cancel(timer_);
    timer_ = 0;
    sweep_.cancel();
    // The launcher's own way first: it reaches ranks on other hosts, which nothing here does.
    if (!run_command(options_.forced)) return kill_everything();
    on_command_end_ = [this] { kill_everything(); };
    timer_ = loop_.call_after(kCommandTime, [this] {
        on_command_end_ = nullptr;
        kill_everything();
    });
}

void Supervisor::all_gone() {
    if (options_.namespace_init == 0) return drain();
    phase_ = Phase::forced;
    kill_everything();
}

void Supervisor::kill_everything() {
    loop_.cancel(timer_);
    timer_ = 0;
    kill_began_ = Clock::now();
    if (options_.control_group) options_.control_group->kill();
    if (options_.namespace_init != 0) ::kill(options_.namespace_init, SIGKILL);
    for (auto& process : processes_) process.signal_group(SIGKILL);
    Sweep::Plan plan;
    plan.signal = SIGKILL;
    plan.time = kKillTime;
    sweep_.start(plan, [this](const std::vector<ProcessInfo>& left) { after_kill(left); });
}

void Supervisor::after_kill(const std::vector<ProcessInfo>& left) {
    // The first process of a PID namespace only waits for the others there.
    const auto others = [this](const ProcessInfo& info) { return info.pid != options_.namespace_init; };
    const bool cleaning_up =
        std::any_of(left.begin(), left.end(), [&](const auto& info) { return info.ending && others(info); });
    if (cleaning_up && Clock::now() - kill_began_ < kCleanUpTime) {
        Sweep::Plan plan;
        plan.signal = SIGKILL;
        plan.time = kKillTime;
        return sweep_.start(plan, [this](const std::vector<ProcessInfo>& still) { after_kill(still); });
    }
    for (const auto& info : left) {
        if (others(info)) surviving_.push_back(listed_pid(info.pid));
    }
    drain();
}

void Supervisor::drain() {
    phase_ = Phase::draining;
    loop_.cancel(timer_);
    timer_ = 0;
    // The last ones may have become zombies after the last look around.
    reaper_.collect();
    for (auto& process : processes_) {
        if (process.running()) process.give_up();
    }
    if (!forwarding_) {
        for (auto& process : processes_) process.give_up();
    } else if (end_requested_) {
        limit_draining();
    }
    finish_if_drained();
}

void Supervisor::limit_draining() {
    if (timer_ != 0) return;
    timer_ = loop_.call_after(kUnclaimedOutputTime, [this] {
        timer_ = 0;
        for (auto& process : processes_) process.give_up();
    });
}

void Supervisor::finish_if_drained() {
    if (phase_ != Phase::draining) return;
    const bool drained = std::all_of(processes_.begin(), processes_.end(),
                                     [](const SupervisedProcess& process) { return process.output_ended(); });
    if (!drained) return;
    phase_ = Phase::ended;
    if (options_.control_group && !options_.control_group->remove()) options_.control_group->kill();
    loop_.cancel(timer_);
    timer_ = 0;
    callbacks_.on_ended(std::move(surviving_));
}

void Supervisor::stop_forwarding() {
    forwarding_ = false;
    for (auto& process : processes_) process.stop_forwarding();
    if (phase_ == Phase::draining) {
        for (auto& process : processes_) process.give_up();
    }
}

}  // namespace rankexec::process
