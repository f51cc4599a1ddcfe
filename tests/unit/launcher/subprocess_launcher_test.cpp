// SPDX-License-Identifier: Apache-2.0
// L16: the launcher by itself. That nothing is left is checked by the harness that every case runs under.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/executor/outside/rank_group_launcher.hpp"
#include "rankexec/core/executor/outside/subprocess_launcher.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"
#include "unit/pipe/forms.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using Launched = Launcher::Launched;
using StopReason = Launcher::StopReason;

class L16_SubprocessLauncher : public ::testing::Test {
protected:
    L16_SubprocessLauncher() {
        options.shutdown_timeout = milliseconds(0);
        options.on_output = [this](int, wire::OutputStream stream, std::string_view bytes) {
            {
                const std::lock_guard lock(mutex_);
                if (stream == wire::OutputStream::standard_output) output_bytes_ += bytes.size();
                if (output_.size() < 10'000) output_ += bytes;
            }
            room_.notify();
        };
    }
    ~L16_SubprocessLauncher() override { launcher.reset(); }
    void make(std::vector<std::string> steps) {
        steps.insert(steps.begin(), RANKEXEC_OUTSIDE_PROGRAM);
        options.command = std::move(steps);
        launcher = std::make_unique<SubprocessLauncher>(options);
        EXPECT_TRUE(launcher->on_change([this] { room_.notify(); }));
        const auto initialised = launcher->initialise(context_);
        ASSERT_TRUE(initialised) << initialised.error().describe();
    }
    tl::expected<Launched, Failure> launch() {
        return launcher->launch_task({"train", "files:/nowhere"}, context_, {});
    }
    void launch_well() {
        const auto launched = launch();
        ASSERT_TRUE(launched) << launched.error().describe();
        EXPECT_EQ(*launched, Launched::started);
    }
    bool wait_for(RunStatus status) {
        return wait_until([&] { return launcher->check_run_status("train") == status; });
    }
    bool wait_until(const std::function<bool()>& condition) {
        const auto deadline = pipe::deadline_after(kLong);
        while (true) {
            const auto seen = room_.changes();
            if (condition()) return true;
            if (pipe::Clock::now() >= deadline) return false;
            room_.wait(seen, deadline);
        }
    }
    void stop(StopReason reason = StopReason::given_up) { launcher->stop_task("train", reason); }
    std::string file(const std::string& name) const { return folder_.path() + "/" + name; }
    static std::vector<std::string> lines_of(const std::string& path) {
        std::ifstream in(path);
        std::vector<std::string> lines;
        for (std::string line; std::getline(in, line);) lines.push_back(line);
        return lines;
    }
    std::string output() {
        const std::lock_guard lock(mutex_);
        return output_;
    }
    std::size_t output_bytes() {
        const std::lock_guard lock(mutex_);
        return output_bytes_;
    }

    TemporaryFolder folder_;
    SubprocessLauncherOptions options;
    std::unique_ptr<SubprocessLauncher> launcher;
    Context context_;

private:
    pipe::WaitRoom room_;
    std::mutex mutex_;
    std::string output_;
    std::size_t output_bytes_ = 0;
};

TEST_F(L16_SubprocessLauncher, RunStatusTellsWhatHasBecomeOfTheProgram) {
    make({"sleep"});
    EXPECT_EQ(launcher->check_run_status("train"), RunStatus::not_running);
    launch_well();
    EXPECT_EQ(launcher->check_run_status("train"), RunStatus::running);
    stop();
    EXPECT_EQ(launcher->check_run_status("train"), RunStatus::not_running);
    make({"exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    make({"err=out of luck\\n", "exit=3"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::failed));
    stop();
    auto report = launcher->report();
    EXPECT_EQ(report.facts.exit, (ExitStatus{false, 3}));
    EXPECT_FALSE(report.ended_by_us);
    EXPECT_THAT(report.facts.stderr_tail, testing::ElementsAre("out of luck"));
    EXPECT_THAT(report.program, HasSubstr("'err=out of luck\\n'"));
    make({"kill=11"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::failed));
    EXPECT_EQ(launcher->report().facts.exit, (ExitStatus{true, SIGSEGV}));
}

TEST_F(L16_SubprocessLauncher, LaunchedOnceItServesAllTasks) {
    make({"note=" + file("note"), "out=!", "sleep"});
    EXPECT_FALSE(launcher->needs_deferred_stop());
    launch_well();
    EXPECT_TRUE(wait_until([this] { return output() == "!"; }));
    stop(StopReason::finished);
    EXPECT_EQ(launcher->check_run_status("train"), RunStatus::running);
    EXPECT_EQ(*launch(), Launched::running);
    stop();
    launch_well();
    EXPECT_TRUE(wait_until([this] { return output() == "!!"; }));
    EXPECT_EQ(lines_of(file("note")).size(), 2U);
}

TEST_F(L16_SubprocessLauncher, LaunchedPerTaskItIsStoppedAfterEach) {
    options.launch_once = false;
    make({"sleep"});
    EXPECT_TRUE(launcher->needs_deferred_stop());
    for (int task = 0; task < 3; ++task) {
        launch_well();
        stop(StopReason::finished);
        EXPECT_EQ(launcher->check_run_status("train"), RunStatus::not_running);
    }
}

TEST_F(L16_SubprocessLauncher, AProgramThatHasEndedIsStartedAgain) {
    make({"exit=0"});
    for (int task = 0; task < 3; ++task) {
        launch_well();
        EXPECT_TRUE(wait_for(RunStatus::success));
    }
}

TEST_F(L16_SubprocessLauncher, ArgumentsSeeNoShell) {
    make({"out=$(echo shell) `id` * ; \"quoted\" end\\n", "exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    stop();
    EXPECT_THAT(output(), HasSubstr("$(echo shell) `id` * ; \"quoted\" end"));
}

TEST_F(L16_SubprocessLauncher, TheWorkingDirectoryIsTheApps) {
    make({"note=" + file("ours"), "exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    EXPECT_THAT(lines_of(file("ours")).at(0), HasSubstr(" " + std::filesystem::current_path().string()));
    context_.set("app_directory", folder_.path());
    make({"note=" + file("app"), "exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    EXPECT_THAT(lines_of(file("app")).at(0), HasSubstr(" " + folder_.path()));
    options.directory = "/";
    make({"note=" + file("named"), "exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    EXPECT_TRUE(lines_of(file("named")).at(0).ends_with(" /"));
}

TEST_F(L16_SubprocessLauncher, OutputIsDrainedWithoutALineBreak) {
    constexpr std::size_t kBytes = std::size_t{16} << 20U;
    make({"flood=" + std::to_string(kBytes), "exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    stop();
    launcher.reset();
    EXPECT_EQ(output_bytes(), kBytes);
}

TEST_F(L16_SubprocessLauncher, OutputIsDrainedWhateverItsBytes) {
    make({"garbage", "out=one\\r\\ntwo\\rthree\\n", "err=last words", "exit=1"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::failed));
    stop();
    const auto report = launcher->report();
    EXPECT_EQ(report.facts.stderr_tail.back(), "last words");
    ASSERT_FALSE(report.output_tail.empty());
    EXPECT_THAT(report.output_tail.front(), HasSubstr("\xef\xbf\xbd"));
}

TEST_F(L16_SubprocessLauncher, AClosedOutputHoldsNothingUp) {
    make({"close-stdout", "sleep"});
    launch_well();
    stop();
    EXPECT_TRUE(launcher->report().ended_by_us);
}

TEST_F(L16_SubprocessLauncher, StopGivesTheProgramItsTimeToEnd) {
    options.shutdown_timeout = kLong;
    options.command = {"/bin/sh", "-c", "sleep 0.3; exit 7"};
    launcher = std::make_unique<SubprocessLauncher>(options);
    ASSERT_TRUE(launcher->initialise(context_));
    launch_well();
    stop();
    EXPECT_EQ(launcher->report().facts.exit, (ExitStatus{false, 7}));
    EXPECT_FALSE(launcher->report().ended_by_us);
}

TEST_F(L16_SubprocessLauncher, ThenItIsTerminatedAndThenKilled) {
    make({"sleep"});
    launch_well();
    stop();
    EXPECT_EQ(launcher->report().facts.exit, (ExitStatus{true, SIGTERM}));
    EXPECT_TRUE(launcher->report().ended_by_us);
    options.grace = milliseconds(100);
    make({"ignore-term", "out=ready\\n", "sleep"});
    launch_well();
    EXPECT_TRUE(wait_until([this] { return !output().empty(); }));
    stop();
    EXPECT_EQ(launcher->report().facts.exit, (ExitStatus{true, SIGKILL}));
}

TEST_F(L16_SubprocessLauncher, StopEndsEveryDescendant) {
    make({"child", "child", "out=ready\\n", "sleep"});
    launch_well();
    EXPECT_TRUE(wait_until([this] { return !output().empty(); }));
    stop();
    // And those of a program that has ended by itself.
    make({"child", "exit=0"});
    launch_well();
    EXPECT_TRUE(wait_for(RunStatus::success));
    stop();
    // And without any call.
    make({"child", "sleep"});
    launch_well();
    launcher.reset();
}

TEST_F(L16_SubprocessLauncher, TheCleanUpCommandRunsAfterTheProgramHasGone) {
    options.clean_up = {RANKEXEC_OUTSIDE_PROGRAM, "note=" + file("clean"), "exit=0"};
    make({"note=" + file("clean"), "out=ready", "sleep"});
    launch_well();
    EXPECT_TRUE(wait_until([this] { return !output().empty(); }));
    stop();
    EXPECT_EQ(lines_of(file("clean")).size(), 2U);
    stop();
    EXPECT_EQ(lines_of(file("clean")).size(), 2U) << "once";
}

TEST_F(L16_SubprocessLauncher, ACleanUpCommandIsBounded) {
    options.clean_up = {RANKEXEC_OUTSIDE_PROGRAM, "child", "sleep"};
    options.clean_up_timeout = milliseconds(100);
    make({"sleep"});
    launch_well();
    stop();
    EXPECT_EQ(launcher->check_run_status("train"), RunStatus::not_running);
}

TEST_F(L16_SubprocessLauncher, ConcurrentStopsAllReturnWhenTheProgramIsGone) {
    make({"sleep"});
    for (int round = 0; round < 5; ++round) {
        launch_well();
        std::vector<std::future<RunStatus>> stops;
        for (int caller = 0; caller < 8; ++caller) {
            stops.push_back(std::async(std::launch::async, [this] {
                stop();
                return launcher->check_run_status("train");
            }));
        }
        for (auto& done : stops) EXPECT_EQ(done.get(), RunStatus::not_running);
    }
    launcher->finalise();
    launcher->finalise();
}

TEST_F(L16_SubprocessLauncher, AStopNeverHoldsUpTheStatus) {
    options.grace = milliseconds(1500);
    make({"ignore-term", "out=ready\\n", "sleep"});
    launch_well();
    EXPECT_TRUE(wait_until([this] { return !output().empty(); }));
    auto stopped = std::async(std::launch::async, [this] { stop(); });
    std::this_thread::sleep_for(kShort);  // the stop is under way; if it is not yet, the looks are good all the same
    for (int look = 0; look < 100; ++look) EXPECT_EQ(launcher->check_run_status("train"), RunStatus::running);
    EXPECT_EQ(stopped.wait_for(milliseconds(0)), std::future_status::timeout);
    stopped.get();
}

TEST_F(L16_SubprocessLauncher, AMissingProgramIsNamed) {
    options.command = {"/no/such/program", "argument"};
    launcher = std::make_unique<SubprocessLauncher>(options);
    ASSERT_TRUE(launcher->initialise(context_));
    const auto launched = launch();
    ASSERT_FALSE(launched);
    EXPECT_EQ(launched.error().code, ReturnCode::launch_error);
    EXPECT_THAT(launched.error().message,
                AllOf(HasSubstr("/no/such/program"), HasSubstr("could not be started"), HasSubstr("No such file")));
    stop();
    EXPECT_EQ(launcher->check_run_status("train"), RunStatus::not_running);
}

TEST_F(L16_SubprocessLauncher, AMissingDirectoryIsNamed) {
    options.directory = "/no/such/folder";
    make({"sleep"});
    const auto launched = launch();
    ASSERT_FALSE(launched);
    EXPECT_THAT(launched.error().message, HasSubstr("/no/such/folder"));
}

TEST_F(L16_SubprocessLauncher, BadOptionsAreRefusedAtOnce) {
    EXPECT_THROW(SubprocessLauncher{options}, ConfigurationError) << "no program";
    options.command = {"/bin/true"};
    options.environment = {"RANKEXEC_AGENT=files:/tmp"};
    EXPECT_THROW(SubprocessLauncher{options}, ConfigurationError);
    options.environment.clear();
    options.shutdown_timeout = milliseconds(-1);
    EXPECT_THROW(SubprocessLauncher{options}, ConfigurationError);
    RankGroupLauncherOptions group;
    group.group.program = {"/bin/true"};
    group.group.world_size = 0;
    EXPECT_THROW(RankGroupLauncher{group}, ConfigurationError);
    group.group.world_size = 1;
    group.group.launcher = "mpirum";
    EXPECT_THROW(RankGroupLauncher{group}, ConfigurationError);
}

TEST(L16_RankGroupLauncher, AGroupHasFailedAsSoonAsOneOfItsRanksHas) {
    RankGroupLauncherOptions options;
    options.shutdown_timeout = milliseconds(0);
    options.group.world_size = 3;
    options.group.program = {"/bin/sh", "-c", "[ $RANK = 1 ] && exit 5; sleep 1000"};
    RankGroupLauncher launcher(options);
    pipe::WaitRoom room;
    EXPECT_TRUE(launcher.on_change([&] { room.notify(); }));
    Context context;
    ASSERT_TRUE(launcher.initialise(context));
    EXPECT_FALSE(launcher.reaches_other_hosts());
    ASSERT_TRUE(launcher.launch_task({"train", "files:/nowhere"}, context, {}));
    while (launcher.check_run_status("train") == RunStatus::running) {
        const auto seen = room.changes();
        if (launcher.check_run_status("train") != RunStatus::running) break;
        room.wait(seen, pipe::deadline_after(kLong));
    }
    EXPECT_EQ(launcher.check_run_status("train"), RunStatus::failed);
    launcher.stop_task("train", StopReason::given_up);
    EXPECT_EQ(launcher.report().facts.rank, 1);
    EXPECT_EQ(launcher.report().facts.exit, (ExitStatus{false, 5}));
    EXPECT_TRUE(launcher.on_change({}));
}

}  // namespace
}  // namespace rankexec::test
