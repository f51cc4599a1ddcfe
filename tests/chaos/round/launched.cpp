// SPDX-License-Identifier: Apache-2.0
// The program of a LauncherExecutor dies, or stops, at any moment of any task: each task has a reply that says so, the
// next one works, and nothing is left.
#include "launched.hpp"

#include <atomic>
#include <csignal>
#include <mutex>
#include <thread>

#include "host.hpp"
#include "rankexec/core/executor/outside/rank_group_launcher.hpp"
#include "rankexec/core/executor/outside/subprocess_launcher.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

using rankexec::ReturnCode;

bool has(const RoundOptions& round, const char* word) { return round.variant.find(word) != std::string::npos; }

std::shared_ptr<rankexec::Launcher> launcher_of(const RoundOptions& round) {
    const auto set_up = [&](rankexec::LaunchedProgramOptions& options) {
        options.launch_once = !has(round, "task");
        options.shutdown_timeout = milliseconds(100);
        options.on_output = [](int, rankexec::wire::OutputStream, std::string_view) {};
    };
    std::vector<std::string> command{CHAOS_OUTSIDE};
    if (has(round, "children")) command.insert(command.end(), {"child", "child"});
    if (has(round, "group")) {
        rankexec::RankGroupLauncherOptions options;
        set_up(options);
        options.group.world_size = 3;
        options.group.program = command;
        options.group.grace = milliseconds(300);
        return std::make_shared<rankexec::RankGroupLauncher>(options);
    }
    rankexec::SubprocessLauncherOptions options;
    set_up(options);
    options.command = command;
    options.grace = milliseconds(300);
    return std::make_shared<rankexec::SubprocessLauncher>(options);
}

/// Executes tasks on a thread of its own until it is destroyed, and looks at each reply.
class Caller {
public:
    explicit Caller(rankexec::LauncherExecutor& executor) : executor_(executor), thread_([this] { run(); }) {}
    ~Caller() {
        stopping_ = true;
        thread_.join();
    }
    [[nodiscard]] int good() const { return good_; }
    [[nodiscard]] std::string wrong() const {
        const std::lock_guard lock(mutex_);
        return wrong_;
    }

private:
    void run() {
        rankexec::Context context;
        while (!stopping_) {
            const auto reply = executor_.execute("train", {}, context, {});
            if (reply.ok()) {
                ++good_;
                continue;
            }
            const auto& failure = *reply.failure;
            const bool named = failure.message.find(CHAOS_OUTSIDE) != std::string::npos && failure.task == "train";
            const bool fitting = failure.code == ReturnCode::execution_exception ||
                                 failure.code == ReturnCode::task_aborted ||
                                 failure.code == ReturnCode::initialisation_error;
            const bool how = failure.exit || failure.message.find("which we have ended") != std::string::npos;
            const std::lock_guard lock(mutex_);
            if ((!named || !fitting || !how) && wrong_.empty()) wrong_ = failure.describe();
        }
    }

    rankexec::LauncherExecutor& executor_;
    std::atomic<bool> stopping_ = false;
    std::atomic<int> good_ = 0;
    mutable std::mutex mutex_;
    std::string wrong_;
    std::thread thread_;
};

int signal_of(const RoundOptions& round) {
    if (has(round, "stop")) return SIGSTOP;
    return has(round, "term") ? SIGTERM : SIGKILL;
}

/// A program that writes up to a gigabyte without a line break.
Outcome flood(rankexec::LauncherExecutor& executor, double scale) {
    constexpr double kGigabyte = 1 << 30;
    rankexec::Context context;
    rankexec::Shareable input;
    input.body = "flood=" + std::to_string(static_cast<std::uint64_t>(kGigabyte * scale));
    const auto begin = Clock::now();
    const auto written = executor.execute("train", input, context, {});
    if (!written.ok()) return Outcome::failed(written.failure->describe());
    Outcome outcome;
    outcome.figures["flood_ms"] = milliseconds_since(begin);
    input.body = "exit=2";
    const auto failed = executor.execute("train", input, context, {});
    if (!failed.failure || failed.failure->exit != rankexec::ExitStatus{false, 2})
        outcome.wrong = "the end was not told";
    return outcome;
}

}  // namespace

std::unique_ptr<rankexec::LauncherExecutor> launched_executor(const RoundOptions& round) {
    rankexec::LauncherExecutorOptions options;
    options.exchange.heartbeat_interval = milliseconds(100);
    options.exchange.peer_gone_after = allowed(milliseconds(1000));
    options.pre_initialise = allowed(milliseconds(1500));
    options.last_result_transfer = milliseconds(500);
    if (has(round, "files")) options.pipe.form = rankexec::ExchangePipeOptions::Form::files;
    return std::make_unique<rankexec::LauncherExecutor>(launcher_of(round), options);
}

Outcome launched(const RoundOptions& round) {
    constexpr int kDeaths = 4;
    constexpr milliseconds kRecovery{20'000};
    Dice dice(round.seed);
    const Surroundings before;
    const auto executor = launched_executor(round);
    rankexec::Context context;
    if (const auto ready = executor->initialise(context); !ready) return Outcome::failed(ready.error().describe());
    Outcome outcome;
    if (has(round, "flood")) {
        outcome = flood(*executor, round.scale);
    } else {
        const Caller caller(*executor);
        for (int death = 0; death < kDeaths && outcome.wrong.empty(); ++death) {
            const int good = caller.good();
            if (!eventually(kRecovery, [&] { return caller.good() > good; })) outcome.wrong = "no task works any more";
            std::this_thread::sleep_for(dice.up_to(milliseconds(30)));
            const auto program = executor->report().facts;
            if (program.pid != 0 && !program.exit) ::kill(static_cast<pid_t>(program.pid), signal_of(round));
        }
        const int good = caller.good();
        const auto begin = Clock::now();
        if (!eventually(kRecovery, [&] { return caller.good() > good; })) outcome.wrong = "no task works at the end";
        outcome.figures["recovery_ms"] = milliseconds_since(begin);
        if (outcome.wrong.empty()) outcome.wrong = caller.wrong();
    }
    executor->finalise();
    const auto left = before.new_since();
    if (!left.empty() && outcome.wrong.empty()) outcome.wrong = "left when finalise returned: " + joined(left);
    return outcome;
}

int run_launched_host(const RoundOptions& round) {
    const auto executor = launched_executor(round);
    rankexec::Context context;
    while (true) {
        say(Phase::launch);
        if (!executor->initialise(context)) return 1;
        say(Phase::execute);
        if (!executor->execute("train", {}, context, {}).ok()) return 1;
        say(Phase::event);
        if (!executor->execute("train", {}, context, {}).ok()) return 1;
        say(Phase::finalise);
        executor->finalise();
        say(Phase::again);
    }
}

}  // namespace chaos
