// SPDX-License-Identifier: Apache-2.0
// L16: a program of several ranks under every real launcher, of which rank 0 exchanges tasks with the executor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>

#include "rankexec/core/executor/outside/launcher_executor.hpp"
#include "rankexec/core/executor/outside/rank_group_launcher.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr int kRanks = 3;

class L16_GroupUnderLauncher : public ::testing::TestWithParam<std::string> {
protected:
    void start_program(const std::vector<std::string>& steps = {}) {
        RankGroupLauncherOptions made;
        made.shutdown_timeout = milliseconds(500);
        made.group.launcher = GetParam();
        made.group.world_size = kRanks;
        made.group.program = {RANKEXEC_OUTSIDE_PROGRAM};
        made.group.program.insert(made.group.program.end(), steps.begin(), steps.end());
        if (GetParam() == "command") made.group.command_template = RANKEXEC_FORK_LAUNCHER " {n} {rank_program}";
        if (GetParam() == "srun") made.group.launcher_args = {"-N", "2"};
        start(std::move(made));
    }
    void start(RankGroupLauncherOptions made) {
        made.on_output = [this](int rank, wire::OutputStream, std::string_view bytes) {
            const std::lock_guard lock(mutex);
            output[rank] += bytes;
        };
        executor = std::make_unique<LauncherExecutor>(std::make_shared<RankGroupLauncher>(std::move(made)));
        const auto ready = executor->initialise(context);
        ASSERT_TRUE(ready) << ready.error().describe();
    }
    Shareable run(const std::string& action) {
        Shareable input;
        input.body = action;
        auto reply = executor->execute("train", input, context, {});
        if (!reply.ok()) {
            const std::lock_guard lock(mutex);
            last_failure = reply.failure->describe() + "\n" + output[-1];
        }
        return reply;
    }
    void TearDown() override { executor.reset(); }

    std::mutex mutex;
    std::map<int, std::string> output;  ///< by rank; -1: the launcher's own
    std::string last_failure;
    Context context;
    std::unique_ptr<LauncherExecutor> executor;
};

INSTANTIATE_TEST_SUITE_P(, L16_GroupUnderLauncher,
                         ::testing::Values("local", "mpirun", "hydra", "torchrun", "srun", "command"),
                         [](const auto& info) { return info.param; });

TEST_P(L16_GroupUnderLauncher, Rank0ServesManyTasksAndNothingIsLeft) {
    start_program({"child"});
    std::int64_t pid = 0;
    for (int task = 0; task < 5; ++task) {
        const auto reply = run("echo");
        ASSERT_TRUE(reply.ok()) << last_failure;
        const auto now = reply.header("pid")->integer_or(-1);
        EXPECT_TRUE(pid == 0 || now == pid);
        pid = now;
    }
}

TEST_P(L16_GroupUnderLauncher, ARankThatFailsIsNamedAndTheNextTaskWorks) {
    start_program();
    for (const auto& [action, exit] :
         {std::pair{"exit=7", ExitStatus{false, 7}}, {"kill=9", ExitStatus{true, SIGKILL}}}) {
        const auto reply = run(action);
        EXPECT_EQ(reply.code, ReturnCode::execution_exception);
        EXPECT_EQ(reply.failure->rank, 0) << last_failure;
        EXPECT_EQ(reply.failure->exit, exit) << last_failure;
        EXPECT_THAT(reply.failure->message, HasSubstr(RANKEXEC_OUTSIDE_PROGRAM));
        EXPECT_TRUE(run("echo").ok()) << last_failure;
    }
}

TEST_P(L16_GroupUnderLauncher, AProgramThatIsMissingIsAFailureToLaunch) {
    RankGroupLauncherOptions made;
    made.group.launcher = GetParam();
    made.group.world_size = kRanks;
    made.group.program = {"/no/such/program"};
    if (GetParam() == "command") made.group.command_template = RANKEXEC_FORK_LAUNCHER " {n} {rank_program}";
    start(made);
    const auto reply = run("echo");
    EXPECT_EQ(reply.code, ReturnCode::launch_error) << last_failure;
    EXPECT_THAT(reply.failure->message, HasSubstr("/no/such/program"));
}

/// The executor on one host, the program on another: environment from with_two_hosts.
TEST(L16_TwoHosts, TheProgramOnAnotherHostIsReachedOverTcp) {
    const char* second = std::getenv("TWO_HOSTS_SECOND");
    ASSERT_NE(second, nullptr) << "run this through tests/support/netns/with_two_hosts";
    RankGroupLauncherOptions made;
    made.group.launcher = "mpirun";
    made.group.world_size = 2;
    made.group.hosts = {second};
    made.group.launcher_args = {"--mca", "plm_rsh_agent", std::getenv("TWO_HOSTS_AGENT")};
    made.group.program = {RANKEXEC_OUTSIDE_PROGRAM, "connections"};
    LauncherExecutor executor(std::make_shared<RankGroupLauncher>(made));
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_TRUE(ready) << ready.error().describe();
    for (int task = 0; task < 3; ++task) {
        const auto reply = executor.execute("train", {}, context, {});
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        EXPECT_EQ(reply.header("tcp")->integer_or(-1), 2) << "both channels";
    }
    EXPECT_EQ(executor.report().facts.host, "host-two");
    executor.finalise();
}

}  // namespace
}  // namespace rankexec
