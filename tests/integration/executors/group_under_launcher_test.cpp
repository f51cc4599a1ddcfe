// SPDX-License-Identifier: Apache-2.0
// The executor's promises, under every real launcher.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <mutex>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/executor/multi_process_executor.hpp"
#include "rankexec/core/model/event_type.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr int kRanks = 3;

class UnderLauncher : public ::testing::TestWithParam<std::string> {
protected:
    MultiProcessOptions options() {
        MultiProcessOptions made;
        made.group.launcher = GetParam();
        made.group.world_size = kRanks;
        made.group.program = {RANKEXEC_TEST_WORKER};
        if (GetParam() == "command") made.group.command_template = RANKEXEC_FORK_LAUNCHER " {n} {rank_program}";
        if (GetParam() == "srun") made.group.launcher_args = {"-N", "2"};
        made.components = {{"executor", "test_executor", {}}};
        made.executor_id = "executor";
        made.on_output = [this](int rank, wire::OutputStream, std::string_view bytes) {
            const std::lock_guard lock(mutex);
            output[rank] += bytes;
        };
        return made;
    }
    void start() { start(options()); }
    void start(MultiProcessOptions made) {
        executor = std::make_unique<MultiProcessExecutor>(std::move(made));
        const auto ready = executor->initialise(context);
        ASSERT_TRUE(ready) << ready.error().describe() << "\n" << output[-1];
    }
    void TearDown() override { executor.reset(); }

    std::mutex mutex;
    std::map<int, std::string> output;  ///< by rank; -1: the launcher's own
    Context context;
    Signal abort;
    std::unique_ptr<MultiProcessExecutor> executor;
};

INSTANTIATE_TEST_SUITE_P(Launchers, UnderLauncher,
                         ::testing::Values("local", "mpirun", "hydra", "torchrun", "srun", "command"),
                         [](const auto& info) { return info.param; });

TEST_P(UnderLauncher, EveryRankAnswersFromItsOwnPlaceAndASecondGroupCanBeStarted) {
    start();
    ExecuteOptions all;
    all.all_results = true;
    const auto answer = executor->execute("echo", {}, context, abort, all);
    ASSERT_TRUE(answer.reply.ok()) << answer.reply.failure->describe();
    for (int rank = 0; rank < kRanks; ++rank) {
        const auto& result = answer.results[static_cast<std::size_t>(rank)];
        EXPECT_EQ(result.header("rank")->integer_or(-1), rank);
        EXPECT_EQ(result.header("world_size")->integer_or(-1), kRanks);
    }
    executor->finalise();
    EXPECT_EQ(executor->report().state, GroupState::idle);
    const auto again = executor->initialise(context);
    ASSERT_TRUE(again) << again.error().describe();
    EXPECT_TRUE(executor->execute("echo", {}, context, abort).ok());
}

TEST_P(UnderLauncher, ARankThatDiesIsNamedWithItsSignalOrExitCodeWhateverTheLauncherSays) {
    for (const auto& [signal, code] : {std::pair{SIGKILL, 0}, {0, 7}}) {
        start();
        Shareable input;
        input.headers = {{"rank", 1}, {"signal", signal}, {"code", code}};
        const auto reply = executor->execute("die", input, context, abort);
        EXPECT_EQ(reply.code, ReturnCode::execution_exception);
        ASSERT_TRUE(reply.failure);
        EXPECT_EQ(reply.failure->rank, 1) << reply.failure->describe();
        ASSERT_TRUE(reply.failure->exit) << reply.failure->describe();
        EXPECT_EQ(reply.failure->exit->signalled, signal != 0);
        EXPECT_EQ(reply.failure->exit->number, signal != 0 ? signal : code);
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Contains("about to die"));
        executor->finalise();
    }
}

TEST_P(UnderLauncher, RanksThatDoNotObeyAreEnded) {
    auto made = options();
    made.abort_grace = milliseconds(100);
    made.group.grace = milliseconds(300);
    start(made);
    auto future = executor->request_execute("hang", {}, context, abort);
    executor->finalise();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(executor->report().state, GroupState::idle);
}

TEST_P(UnderLauncher, AWorkerThatDiesBeforeItsHelloIsAnErrorWithItsWords) {
    auto made = options();
    made.group.program = {"/bin/sh", "-c", "echo cannot load model >&2; exit 7"};
    MultiProcessExecutor group(made);
    const auto ready = group.initialise(context);
    ASSERT_FALSE(ready);
    ASSERT_TRUE(ready.error().exit) << ready.error().describe();
    EXPECT_EQ(ready.error().exit->number, 7) << ready.error().describe();
    EXPECT_THAT(ready.error().stderr_tail, ::testing::Contains("cannot load model"));
}

TEST_P(UnderLauncher, OutputOfEveryRankArrives) {
    start();
    ASSERT_TRUE(executor->execute("print", {}, context, abort).ok());
    executor->finalise();
    for (int rank = 0; rank < kRanks; ++rank) {
        EXPECT_THAT(output[rank], HasSubstr("out of rank " + std::to_string(rank) + "\n"));
        EXPECT_THAT(output[rank], HasSubstr("err of rank " + std::to_string(rank) + "\n"));
    }
}

/// The parent on one host, the ranks on another: environment from with_two_hosts.
TEST(TwoHosts, RanksAreReachedOverTcpWithCurveThroughOpenMpi) {
    const char* second = std::getenv("TWO_HOSTS_SECOND");
    ASSERT_NE(second, nullptr) << "run this through tests/support/netns/with_two_hosts";
    MultiProcessOptions options;
    options.group.launcher = "mpirun";
    options.group.world_size = 2;
    options.group.hosts = {second};
    options.group.launcher_args = {"--mca", "plm_rsh_agent", std::getenv("TWO_HOSTS_AGENT")};
    options.group.program = {RANKEXEC_TEST_WORKER};
    options.components = {{"executor", "test_executor", {}}};
    options.executor_id = "executor";
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_TRUE(ready) << ready.error().describe();
    const auto report = executor.report();
    ASSERT_EQ(report.ranks.size(), 2U);
    for (const auto& rank : report.ranks) {
        EXPECT_EQ(rank.transport, "tcp");
        EXPECT_EQ(rank.security, "curve");
        EXPECT_EQ(rank.host, "host-two");
    }
    EXPECT_TRUE(executor.execute("echo", {}, context, {}).ok());
    executor.finalise();
}

}  // namespace
}  // namespace rankexec
