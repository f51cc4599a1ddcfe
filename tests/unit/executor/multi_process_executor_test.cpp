// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/multi_process_executor.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <thread>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/model/event_type.hpp"

namespace rankexec {

/// In the names of tests.
static void PrintTo(Transport transport, std::ostream* out) {
    *out << (transport == Transport::automatic ? "memory" : "zeromq");
}

namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;

MultiProcessOptions options_for(int ranks) {
    MultiProcessOptions options;
    options.group.world_size = ranks;
    options.group.program = {RANKEXEC_TEST_WORKER};
    options.components = {{"executor", "test_executor", {}}};
    options.executor_id = "executor";
    options.on_output = [](int, wire::OutputStream, std::string_view) {};
    return options;
}

Shareable with_headers(Value::Map headers) {
    Shareable input;
    input.headers = std::move(headers);
    return input;
}

ConfigurationError::Kind kind_of(const MultiProcessOptions& options) {
    try {
        MultiProcessExecutor executor(options);
    } catch (const ConfigurationError& error) {
        return error.kind();
    }
    ADD_FAILURE() << "no configuration error";
    return ConfigurationError::Kind::option;
}

TEST(MultiProcessExecutor, M1_ConfigurationErrorsAreNamed) {
    using Kind = ConfigurationError::Kind;
    EXPECT_EQ(kind_of(options_for(0)), Kind::rank_count);
    EXPECT_EQ(kind_of(options_for(-3)), Kind::rank_count);
    EXPECT_EQ(kind_of(options_for(1'000'000'000)), Kind::rank_count);
    auto options = options_for(1);
    options.components[0].id.clear();
    EXPECT_EQ(kind_of(options), Kind::component_id_missing);
    options = options_for(1);
    options.components.push_back(options.components[0]);
    EXPECT_EQ(kind_of(options), Kind::component_id_duplicate);
    options = options_for(1);
    options.executor_id = "nobody";
    EXPECT_EQ(kind_of(options), Kind::executor_id_unknown);
    options = options_for(1);
    options.group.launcher = "mpirum";
    EXPECT_EQ(kind_of(options), Kind::launcher_unknown);
    options = options_for(1);
    options.group.environment = {"LOCAL_RANK=7"};
    EXPECT_EQ(kind_of(options), Kind::option);
}

TEST(MultiProcessExecutor, M1_AnUnknownTypeOnARankIsAnErrorOfInitialiseWithTheRank) {
    auto options = options_for(2);
    options.components[0].type = "test_executr";
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ReturnCode::initialisation_error);
    EXPECT_THAT(ready.error().message, HasSubstr("did you mean \"test_executor\""));
    EXPECT_TRUE(ready.error().rank);
    EXPECT_EQ(executor.report().state, GroupState::idle);
}

TEST(MultiProcessExecutor, M1_AnExecutorIdThatNamesNoExecutorIsAnErrorOfInitialise) {
    auto options = options_for(1);
    options.components = {{"executor", "no_executor", {}}};
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, HasSubstr("is no Executor"));
}

TEST(MultiProcessExecutor, M1_AComponentThatRefusesItsArgumentsIsAnErrorOfInitialise) {
    auto options = options_for(2);
    options.components[0].args["fail"] = "learning rate is negative";
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, HasSubstr("learning rate is negative"));
    EXPECT_THAT(ready.error().stderr_tail, testing::ElementsAre("about to refuse"));
}

TEST(MultiProcessExecutor, M4_ARankThatDiesBeforeItsHelloIsAnErrorAtOnce) {
    auto options = options_for(3);
    options.group.program = {"/bin/sh", "-c", "echo cannot load model >&2; exit 7"};
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ReturnCode::initialisation_error);
    ASSERT_TRUE(ready.error().exit);
    EXPECT_EQ(ready.error().exit->number, 7);
    EXPECT_THAT(ready.error().stderr_tail, ::testing::Contains("cannot load model"));
}

TEST(MultiProcessExecutor, M4_RanksThatNeverSayHelloAreListedWhenTheDeadlineHasPassed) {
    auto options = options_for(2);
    options.group.program = {"/bin/sleep", "1000"};
    options.group.grace = milliseconds(200);
    options.abort_grace = milliseconds(100);
    options.ready_timeout = milliseconds(300);
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().ranks, (std::vector<int>{0, 1}));
    EXPECT_THAT(ready.error().message, HasSubstr("have not said hello"));
}

TEST(MultiProcessExecutor, M4_AMissingWorkerIsNamed) {
    auto options = options_for(2);
    options.group.program = {"/no/such/worker"};
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().describe(), HasSubstr("/no/such/worker"));
    EXPECT_EQ(ready.error().code, ReturnCode::launch_error);
    EXPECT_EQ(ready.error().exit, (ExitStatus{false, 127}));
}

TEST(MultiProcessExecutor, M4_MissingFoldersAreNamedAndNotTheProgramsFault) {
    for (const bool of_logs : {true, false}) {
        auto options = options_for(2);
        (of_logs ? options.group.log_directory : options.group.directory) = "/proc/no/such/folder";
        MultiProcessExecutor executor(options);
        Context context;
        const auto ready = executor.initialise(context);
        ASSERT_FALSE(ready);
        EXPECT_EQ(ready.error().code, ReturnCode::launch_error);
        EXPECT_EQ(ready.error().exit, (ExitStatus{false, 125}));
        EXPECT_THAT(ready.error().message, HasSubstr("/proc/no/such/folder"));
    }
}

TEST(MultiProcessExecutor, M4_AnAbortDuringInitialiseEndsTheGroup) {
    auto options = options_for(2);
    options.group.program = {"/bin/sleep", "1000"};
    options.group.grace = milliseconds(200);
    options.abort_grace = milliseconds(100);
    MultiProcessExecutor executor(options);
    Context context;
    const Signal abort;
    std::thread trigger([&] { abort.trigger("enough"); });
    const auto ready = executor.initialise(context, abort);
    trigger.join();
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ReturnCode::task_aborted);
    EXPECT_THAT(ready.error().message, HasSubstr("enough"));
}

/// Tells when every rank has begun the task "hang": only then does an abort find it running.
class HangWatch {
public:
    explicit HangWatch(int ranks) : missing_(ranks) {}
    void install(MultiProcessOptions& options) {
        options.on_output = [this](int, wire::OutputStream, std::string_view bytes) {
            if (bytes.find("hanging") == std::string_view::npos) return;
            const std::lock_guard lock(mutex_);
            --missing_;
            changed_.notify_all();
        };
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return missing_ <= 0; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int missing_;
};

/// A group of test workers that is up.
class Group : public ::testing::TestWithParam<Transport> {
protected:
    void start(int ranks) { start(options_for(ranks)); }
    void start(MultiProcessOptions options) {
        options.transport = GetParam();
        executor = std::make_unique<MultiProcessExecutor>(std::move(options));
        const auto ready = executor->initialise(context);
        ASSERT_TRUE(ready) << ready.error().describe();
    }
    Shareable execute(const std::string& task, const Shareable& input = {}) {
        return executor->execute(task, input, context, abort);
    }

    /// execute() on a thread of its own, which is the one that waits for the ranks.
    std::future<Shareable> start_task(const std::string& task, const Shareable& input = {},
                                      const ExecuteOptions& options = {}) {
        return std::async(std::launch::async,
                          [=, this] { return executor->execute(task, input, context, abort, options).reply; });
    }

    Context context;
    Signal abort;
    std::unique_ptr<MultiProcessExecutor> executor;
};

const auto kTransports = ::testing::Values(Transport::automatic, Transport::zeromq);
std::string name_of(const ::testing::TestParamInfo<Transport>& info) { return ::testing::PrintToString(info.param); }
INSTANTIATE_TEST_SUITE_P(Over, Group, kTransports, name_of);

TEST_P(Group, M5_RankZerosResultAndContextChangesAreMerged) {
    start(3);
    Shareable input = with_headers({{"round", 4}});
    input.body["nested"]["text"] = "hello";
    const std::vector<float> numbers{1.5F, -2.0F, 3.25F};
    input.tensors.emplace("weights", Tensor::copy_of<float>(numbers, {3}));
    context.set("learning_rate", 0.5);
    const auto reply = execute("echo", input);
    ASSERT_TRUE(reply.ok()) << reply.failure->describe();
    EXPECT_EQ(reply.header("rank")->integer_or(-1), 0);
    EXPECT_EQ(reply.header("round")->integer_or(-1), 4);
    EXPECT_EQ(reply.header("world_size")->integer_or(-1), 3);
    EXPECT_EQ(reply.body, input.body);
    EXPECT_EQ(*reply.tensor("weights"), *input.tensor("weights"));
    EXPECT_EQ(context.integer_or("last_rank", -1), 0);
    EXPECT_EQ(context.integer_or("by_rank_0", -1), 0);
    EXPECT_FALSE(context.get("by_rank_1"));
}

TEST_P(Group, M9_AllResultsAreMergedSoThatRankZeroWins) {
    start(3);
    ExecuteOptions options;
    options.all_results = true;
    const auto reply = executor->execute("echo", {}, context, abort, options);
    ASSERT_TRUE(reply.reply.ok());
    ASSERT_EQ(reply.results.size(), 3U);
    for (int rank = 0; rank < 3; ++rank) {
        EXPECT_EQ(reply.results[static_cast<std::size_t>(rank)].header("rank")->integer_or(-1), rank);
        EXPECT_EQ(context.integer_or("by_rank_" + std::to_string(rank), -1), rank);
    }
    EXPECT_EQ(context.integer_or("last_rank", -1), 0);
}

TEST_P(Group, M5_AnExceptionOnAnyRankIsAFailureWithItsRankAndTheGroupLivesOn) {
    start(3);
    const auto reply = execute("throw", with_headers({{"rank", 2}}));
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->rank, 2);
    EXPECT_EQ(reply.failure->message, "user code failed on purpose");
    EXPECT_EQ(reply.failure->exception, "std::runtime_error");
    EXPECT_EQ(reply.failure->task, "throw");
    EXPECT_THAT(reply.failure->stderr_tail, testing::ElementsAre("about to throw"));
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(Group, M5_WhateverIsThrownIsTold) {
    start(1);
    EXPECT_EQ(execute("throw_text").failure->message, "just a text");
    EXPECT_EQ(execute("throw_nested").failure->message, "the outer one; because of: the inner one");
}

TEST_P(Group, M5_AnAbortThatWasThereFirstKeepsTheTaskFromTheRanks) {
    start(1);
    abort.trigger("not today");
    const auto reply = executor->execute("die", with_headers({{"rank", 0}, {"code", 3}}), context, abort, {});
    EXPECT_EQ(reply.reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(reply.reply.failure->message, "not today");
    EXPECT_TRUE(executor->execute("echo", {}, context, {}).ok());
}

TEST_P(Group, ADeadlineForEverIsNone) {
    start(1);
    ExecuteOptions for_ever;
    for_ever.deadline = milliseconds::max();
    EXPECT_TRUE(executor->execute("echo", {}, context, {}, for_ever).reply.ok());
}

TEST_P(Group, M8_ARankThatCrashesWhenItClosesIsReported) {
    start(2);
    EXPECT_TRUE(execute("crash_at_end").ok());
    executor->finalise();
    const auto report = executor->report();
    ASSERT_TRUE(report.end_failure);
    EXPECT_TRUE(report.end_failure->exit->signalled);
    EXPECT_EQ(report.end_failure->exit->number, SIGSEGV);
}

TEST_P(Group, M5_AReplyThatIsNotOkNamesItsRank) {
    start(2);
    const auto reply = execute("bad_reply", with_headers({{"rank", 1}}));
    EXPECT_EQ(reply.code, ReturnCode::bad_task_data);
    EXPECT_EQ(reply.failure->rank, 1);
    EXPECT_EQ(execute("no such task").code, ReturnCode::task_unknown);
}

TEST_P(Group, M5_ARankThatDiesDuringATaskIsNamedWithItsExit) {
    for (const auto& [signal, code] : {std::pair{SIGKILL, 0}, {SIGSEGV, 0}, {0, 3}, {0, 0}}) {
        start(3);
        const auto reply = execute("die", with_headers({{"rank", 1}, {"signal", signal}, {"code", code}}));
        EXPECT_EQ(reply.code, ReturnCode::execution_exception);
        ASSERT_TRUE(reply.failure);
        EXPECT_EQ(reply.failure->rank, 1) << reply.failure->describe();
        ASSERT_TRUE(reply.failure->exit) << reply.failure->describe();
        EXPECT_EQ(reply.failure->exit->signalled, signal != 0);
        EXPECT_EQ(reply.failure->exit->number, signal != 0 ? signal : code);
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Contains("about to die"));
        // What was submitted to a lost group fails for the same reason.
        EXPECT_EQ(execute("echo").failure->rank, 1);
    }
}

TEST_P(Group, M5_AbortReachesEveryRankAndTheReplySaysSo) {
    start(2);
    auto future = executor->request_execute("wait_for_abort", {}, context, abort);
    abort.trigger("user pressed stop");
    const auto reply = future.get();
    EXPECT_EQ(reply.reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.reply.failure->message, HasSubstr("user pressed stop"));
    const Signal fresh;
    EXPECT_TRUE(executor->execute("echo", {}, context, fresh).ok());
}

TEST_P(Group, M5_AnAbortBeforeTheTaskEndsItAsWell) {
    start(2);
    abort.trigger("too late");
    EXPECT_EQ(execute("echo").code, ReturnCode::task_aborted);
}

TEST_P(Group, ATaskWhoseCallerWaitsForTheRanksIsAbortedToo) {
    start(3);
    auto task = start_task("wait_for_abort");
    abort.trigger("enough");
    EXPECT_EQ(task.get().code, ReturnCode::task_aborted);
    abort = Signal();
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(Group, ATaskWhoseCallerWaitsForTheRanksEndsWithTheGroup) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(200);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    auto task = start_task("hang");
    watch.wait();
    executor->finalise();
    const auto reply = task.get();
    EXPECT_EQ(reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.failure->message, HasSubstr("finalised"));
    EXPECT_EQ(reply.failure->task, "hang");
}

TEST_P(Group, TasksOfSeveralThreadsTakeTurns) {
    start(2);
    constexpr int kThreads = 4;
    constexpr int kTasks = 50;
    std::atomic<int> well{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            Context own = context.clone();
            for (int number = 0; number < kTasks; ++number) {
                const auto input = with_headers({{"number", thread * kTasks + number}});
                const bool queued = number % 3 == 0;
                const auto reply = queued ? executor->request_execute("echo", input, own).get().reply
                                          : executor->execute("echo", input, own, Signal());
                if (reply.ok() && *reply.header("number") == *input.header("number")) ++well;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(well, kThreads * kTasks);
}

/// Rank 0's result fits into no ring of shared memory, those of others do.
Shareable input_of_large_result() {
    Shareable input;
    input.body["bytes"] = Bytes(std::size_t{1} << 17U, std::byte{7});
    return input;
}

TEST_P(Group, TasksOfSeveralThreadsTakeTurnsAlsoWhenTheyChangeTheirWay) {
    start(3);
    constexpr int kThreads = 4;
    constexpr int kTasks = 100;
    const auto large = input_of_large_result();
    std::atomic<int> well{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            Context own = context.clone();
            for (int number = 0; number < kTasks; ++number) {
                const auto input = (number + thread) % 3 == 0 ? large : with_headers({{"number", number}});
                if (executor->execute("echo", input, own, Signal()).body == input.body) ++well;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(well, kThreads * kTasks);
}

TEST_P(Group, ATaskMayTakeTheLaneAsSoonAsTheOneBeforeItHasItsReply) {
    start(3);
    const auto large = input_of_large_result();
    for (int round = 0; round < 50; ++round) {
        ASSERT_TRUE(execute("echo", large).ok());
        for (int task = 0; task < 5; ++task) ASSERT_TRUE(execute("echo").ok()) << round;
    }
}

TEST_P(Group, AnAbortThatComesTooLateIsNotThatOfALaterTask) {
    start(2);
    const auto large = input_of_large_result();
    for (int round = 0; round < 200; ++round) {
        Signal late;
        std::thread other([&] {
            for (int turn = 0; turn < round; ++turn) std::this_thread::yield();
            late.trigger("too late, or not");
        });
        (void)executor->execute("echo", {}, context, late);
        other.join();
        const auto reply = executor->execute("echo", large, context, abort);
        ASSERT_TRUE(reply.ok()) << round << ": " << reply.failure->describe();
    }
}

TEST_P(Group, WhatWasSubmittedFirstRunsFirstWhicheverWayItGoes) {
    start(1);
    auto first = executor->request_execute("wait_for_abort", {}, context, abort);
    auto second = std::async(std::launch::async, [this] { return executor->execute("echo", {}, context, Signal()); });
    EXPECT_EQ(second.wait_for(milliseconds(50)), std::future_status::timeout);
    abort.trigger("go on");
    EXPECT_EQ(first.get().reply.code, ReturnCode::task_aborted);
    EXPECT_TRUE(second.get().ok());
}

/// Neither fits into a ring of shared memory.
TEST_P(Group, LargeTasksAndResultsFindAWay) {
    start(2);
    Shareable input;
    for (const std::size_t size : {1U << 10U, 1U << 15U, 1U << 16U, 1U << 18U, 1U << 20U, 1U << 24U, 1U << 12U}) {
        input.body["bytes"] = Bytes(size, std::byte{7});
        const auto reply = execute("echo", input);
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        EXPECT_EQ(reply.body, input.body);
    }
}

/// Different in every place, and for every seed.
Tensor tensor_of(std::size_t elements, int seed) {
    auto buffer = TensorBuffer::make(DType::int64, {static_cast<std::int64_t>(elements)});
    std::int64_t next = seed;
    for (auto& element : buffer.elements<std::int64_t>()) element = next += 7;
    return std::move(buffer).finish();
}

TEST_P(Group, TensorsOfAllSizesTravelBothWays) {
    start(2);
    int seed = 0;
    for (const std::size_t elements : {0UL, 1UL, 2047UL, 2048UL, 5000UL, 100'000UL, 3'000'000UL, 100'000UL, 7UL}) {
        Shareable input;
        input.tensors.emplace("one", tensor_of(elements, ++seed));
        input.tensors.emplace("small", tensor_of(10, ++seed));
        input.tensors.emplace("two", tensor_of(elements / 2, ++seed));
        ExecuteOptions options;
        options.all_results = true;
        const auto reply = executor->execute("echo", input, context, abort, options);
        ASSERT_TRUE(reply.reply.ok()) << reply.reply.failure->describe();
        for (const auto& result : reply.results) EXPECT_EQ(result.tensors, input.tensors) << elements;
    }
}

TEST_P(Group, TensorsThatAreBuiltInPlaceArrive) {
    start(3);
    std::vector<Tensor> sent;
    for (int turn = 0; turn < 20; ++turn) {
        auto buffer = executor->allocate(DType::float32, {3, 50'000});
        for (auto& element : buffer.elements<float>()) element = static_cast<float>(turn);
        Shareable input;
        input.tensors.emplace("x", std::move(buffer).finish());
        const auto reply = execute("echo", input);
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        EXPECT_EQ(*reply.tensor("x"), *input.tensor("x"));
        if (turn % 3 == 0) sent.push_back(*input.tensor("x"));
    }
    for (std::size_t index = 0; index < sent.size(); ++index) {
        EXPECT_EQ(sent[index].elements<float>()[149'999], static_cast<float>(3 * index));
    }
}

TEST_P(Group, ResultsThatAreBuiltInPlaceStayValidForEver) {
    start(2);
    std::vector<Shareable> results;
    for (const std::int64_t elements : {10, 10'000, 1'000'000, 10'000}) {
        const auto reply =
            executor->execute("build", with_headers({{"elements", elements}}), context, abort, {.all_results = true});
        ASSERT_TRUE(reply.reply.ok()) << reply.reply.failure->describe();
        results.insert(results.end(), reply.results.begin(), reply.results.end());
    }
    executor->finalise();
    executor.reset();
    for (std::size_t index = 0; index < results.size(); ++index) {
        const auto elements = results[index].tensor("built")->elements<double>();
        for (std::size_t at = 0; at < elements.size(); ++at) {
            ASSERT_EQ(elements[at], static_cast<double>(at) + static_cast<double>(index % 2) / 2);
        }
    }
}

TEST_P(Group, SharedMemoryIsReturnedWithTheGroup) {
    start(2);
    Shareable input;
    input.tensors.emplace("x", tensor_of(100'000, 1));
    ASSERT_TRUE(execute("echo", input).ok());
    executor->finalise();
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) EXPECT_THAT(line, Not(HasSubstr("memfd:rankexec")));
}

TEST_P(Group, HeldResultsTakeNoDescriptors) {
    start(2);
    const auto built = executor->allocate(DType::uint8, {100'000});
    std::vector<GroupReply> held;
    for (int turn = 0; turn < 10; ++turn) {
        const auto input = with_headers({{"elements", 10'000}});
        held.push_back(executor->execute("build", input, context, abort, {.all_results = true}));
        ASSERT_TRUE(held.back().reply.ok());
    }
    executor->finalise();
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        EXPECT_THAT(std::filesystem::read_symlink(entry, gone).string(), Not(HasSubstr("memfd:rankexec")));
    }
}

TEST_P(Group, WhatDoesNotFitIntoSharedMemoryFindsAnotherWay) {
    auto options = options_for(2);
    options.shared_memory_limit = 1'000'000;
    start(options);
    std::vector<Shareable> held;
    for (int turn = 0; turn < 12; ++turn) {
        Shareable input;
        input.tensors.emplace("x", tensor_of(turn % 4 == 3 ? 1'000'000 : 30'000, turn));
        held.push_back(execute("echo", input));
        ASSERT_TRUE(held.back().ok()) << held.back().failure->describe();
        EXPECT_EQ(*held.back().tensor("x"), *input.tensor("x"));
    }
    for (std::size_t turn = 0; turn < held.size(); ++turn) {
        EXPECT_EQ(held[turn].tensor("x")->elements<std::int64_t>()[99], static_cast<std::int64_t>(turn) + 700);
    }
    EXPECT_TRUE(executor->allocate(DType::uint8, {100'000'000}).bytes().size() == 100'000'000);
}

TEST_P(Group, M5_RanksThatDoNotReturnFromAnAbortedTaskCostTheGroup) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    auto future = executor->request_execute("hang", {}, context, abort);
    watch.wait();
    abort.trigger("stop");
    const auto reply = future.get();
    EXPECT_EQ(reply.reply.code, ReturnCode::task_aborted);
    EXPECT_THAT(reply.reply.failure->message, HasSubstr("did not return"));
    EXPECT_NE(executor->report().state, GroupState::ready);
    executor.reset();
}

TEST_P(Group, ADeadlineNamesTheRanksThatHaveNotAnswered) {
    auto options = options_for(3);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(50);
    const auto reply = executor->execute("hang", {}, context, abort, with_deadline);
    EXPECT_EQ(reply.reply.code, ReturnCode::task_timeout);
    EXPECT_EQ(reply.reply.failure->ranks, (std::vector<int>{0, 1, 2}));
}

/// The frames of a stack in one text.
std::string joined(const RankStack& stack) {
    std::string text = stack.missing;
    for (const auto& frame : stack.frames) text += frame + "\n";
    return text;
}

TEST_P(Group, ADeadlineCarriesTheStacksOfTheRanksThatHang) {
    auto options = options_for(3);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(1000);
    auto future = executor->request_execute("hang", with_headers({{"not_on", 1}}), context, abort, with_deadline);
    watch.wait();
    const auto failure = *future.get().reply.failure;
    EXPECT_EQ(failure.ranks, (std::vector<int>{0, 2}));
    EXPECT_EQ(failure.task, "hang");
    ASSERT_EQ(failure.stacks.size(), 2U);
    for (const auto& stack : failure.stacks) {
        EXPECT_NE(stack.rank, 1);
        EXPECT_THAT(joined(stack), HasSubstr("hang_on_purpose"));
        EXPECT_THAT(joined(stack), HasSubstr("rankexec::worker::run"));
    }
}

TEST_P(Group, ARankThatIsStoppedIsNamedWithoutAStack) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(1000);
    auto future = executor->request_execute("hang", {}, context, abort, with_deadline);
    watch.wait();
    const auto pid = static_cast<pid_t>(executor->report().ranks.at(1).pid);
    ASSERT_GT(pid, 0);
    ::kill(pid, SIGSTOP);
    const auto failure = *future.get().reply.failure;
    ASSERT_EQ(failure.stacks.size(), 2U);
    EXPECT_THAT(joined(failure.stacks[0]), HasSubstr("hang_on_purpose"));
    EXPECT_THAT(failure.stacks[1].missing, HasSubstr("no answer"));
}

TEST_P(Group, StacksAreOffOnRequest) {
    auto options = options_for(1);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(500);
    options.group.environment = {"RANKEXEC_NO_STACKS=1"};
    start(options);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(50);
    const auto hung = executor->execute("hang", {}, context, abort, with_deadline);
    ASSERT_EQ(hung.reply.failure->stacks.size(), 1U);
    EXPECT_THAT(hung.reply.failure->stacks[0].missing, HasSubstr("reports none"));
    start(options);
    const auto crashed = execute("crash", with_headers({{"how", "segv"}}));
    EXPECT_EQ(crashed.failure->exit, (ExitStatus{true, SIGSEGV}));
    EXPECT_TRUE(crashed.failure->stacks.empty());
}

#if !defined(__SANITIZE_THREAD__)  // which runs handlers elsewhere than where the signal struck
TEST_P(Group, ACrashCarriesItsStackAndStaysTheSignalItWas) {
    for (const auto& [how, signal] : {std::pair{"segv", SIGSEGV},
                                      {"abort", SIGABRT},
                                      {"overflow", SIGSEGV},
                                      {"thread", SIGSEGV},
                                      {"terminate", SIGABRT}}) {
        SCOPED_TRACE(how);
        auto options = options_for(2);
        options.group.environment = {"ASAN_OPTIONS=handle_segv=0:handle_abort=0:use_sigaltstack=0"};
        start(options);
        const auto reply = execute("crash", with_headers({{"rank", 1}, {"how", how}}));
        ASSERT_TRUE(reply.failure);
        EXPECT_EQ(reply.failure->rank, 1);
        EXPECT_EQ(reply.failure->exit, (ExitStatus{true, signal})) << reply.failure->describe();
        ASSERT_EQ(reply.failure->stacks.size(), 1U) << reply.failure->describe();
        EXPECT_EQ(reply.failure->stacks[0].rank, 1);
        EXPECT_THAT(joined(reply.failure->stacks[0]), HasSubstr("test_worker+0x"));
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Contains("about to crash"));
        EXPECT_THAT(reply.failure->stderr_tail, ::testing::Not(::testing::Contains(HasSubstr("native stack"))));
    }
}
#endif

TEST_P(Group, ASignalThatTheProgramHandlesIsLeftToIt) {
    start(1);
    const auto reply = execute("crash", with_headers({{"how", "own_handler"}}));
    EXPECT_EQ(reply.failure->exit, (ExitStatus{false, 42}));
    EXPECT_TRUE(reply.failure->stacks.empty());
}

// The first one's exception takes its time to be caught; meanwhile the others fail because of it.
TEST_P(Group, TheFirstExceptionIsTheOneThatWasThrownFirst) {
    start(2);
    const auto fifo = ::testing::TempDir() + "/rankexec-throw-" + std::to_string(::getpid());
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    const auto reply = execute("throw_slowly", with_headers({{"first", 1}, {"fifo", fifo}}));
    ::unlink(fifo.c_str());
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->rank, 1) << reply.failure->describe();
    EXPECT_EQ(reply.failure->message, "the first");
}

TEST_P(Group, TheFailureOfOneTellsWhatBecameOfTheOthers) {
    start(3);
    const auto reply = execute("throw_all", with_headers({{"first", 1}}));
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->others.size(), 2U) << reply.failure->describe();
    for (const auto& other : reply.failure->others) EXPECT_THAT(other.what, HasSubstr("everyone fails"));
}

TEST_P(Group, ADeadlineCountsWhileTheTaskWaitsInTheQueue) {
    start(1);
    auto running = executor->request_execute("wait_for_abort", {}, context, abort);
    ExecuteOptions with_deadline;
    with_deadline.deadline = milliseconds(50);
    const auto reply = executor->execute("echo", {}, context, {}, with_deadline);
    EXPECT_EQ(reply.reply.code, ReturnCode::task_timeout);
    EXPECT_THAT(reply.reply.failure->message, HasSubstr("waited"));
    abort.trigger("go on");
    EXPECT_EQ(running.get().reply.code, ReturnCode::task_aborted);
}

TEST_P(Group, M8_AfterFinaliseTheNextGroupIsANewIncarnation) {
    start(2);
    const auto first = executor->report();
    EXPECT_EQ(first.state, GroupState::ready);
    EXPECT_EQ(first.ranks.size(), 2U);
    EXPECT_EQ(first.ranks[0].transport, GetParam() == Transport::zeromq ? "ipc" : "memory");
    EXPECT_EQ(first.ranks[0].security, "plain");
    executor->finalise();
    executor->finalise();
    EXPECT_EQ(executor->report().state, GroupState::idle);
    EXPECT_EQ(execute("echo").code, ReturnCode::not_ready);
    ASSERT_TRUE(executor->initialise(context));
    const auto second = executor->report();
    EXPECT_EQ(second.incarnation, first.incarnation + 1);
    EXPECT_NE(second.run_id, first.run_id);
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(Group, M8_FinaliseEndsRanksThatDoNotObey) {
    auto options = options_for(2);
    options.abort_grace = milliseconds(100);
    options.group.grace = milliseconds(200);
    HangWatch watch(2);
    watch.install(options);
    start(options);
    auto future = executor->request_execute("hang", {}, context, abort);
    watch.wait();
    executor->finalise();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(executor->report().state, GroupState::idle);
    executor.reset();
}

TEST_P(Group, M9_TwoExecutorsInOneProcessWorkIndependently) {
    start(2);
    MultiProcessExecutor other(options_for(3));
    Context other_context;
    ASSERT_TRUE(other.initialise(other_context));
    EXPECT_EQ(execute("echo").header("world_size")->integer_or(-1), 2);
    EXPECT_EQ(other.execute("echo", {}, other_context, abort).header("world_size")->integer_or(-1), 3);
    executor->finalise();
    EXPECT_TRUE(other.execute("echo", {}, other_context, abort).ok());
}

TEST_P(Group, M9_TasksRunInOrderOfSubmissionAndTheQueueIsBounded) {
    auto options = options_for(1);
    options.queue_limit = 2;
    start(options);
    auto running = executor->request_execute("wait_for_abort", {}, context, abort);
    auto first = executor->request_execute("echo", with_headers({{"n", 1}}), context);
    auto second = executor->request_execute("echo", with_headers({{"n", 2}}), context);
    auto refused = executor->request_execute("echo", {}, context);
    EXPECT_EQ(refused.get().reply.code, ReturnCode::bad_request_data);
    abort.trigger("go on");
    EXPECT_EQ(running.get().reply.code, ReturnCode::task_aborted);
    EXPECT_EQ(first.get().reply.header("n")->integer_or(0), 1);
    EXPECT_EQ(second.get().reply.header("n")->integer_or(0), 2);
}

TEST_P(Group, APayloadOverTheLimitIsRefusedAndTheGroupWorksOn) {
    start(2);
    Shareable input;
    input.body = std::string(std::size_t{17} << 20U, 'x');
    const auto reply = execute("echo", input);
    EXPECT_EQ(reply.code, ReturnCode::bad_request_data);
    EXPECT_THAT(reply.failure->message, HasSubstr("echo"));
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(Group, AResultOverTheLimitIsAnErrorOfItsRankAndTheGroupWorksOn) {
    start(2);
    const auto reply = execute("large_result", with_headers({{"rank", 0}}));
    EXPECT_EQ(reply.code, ReturnCode::execution_result_error);
    EXPECT_EQ(reply.failure->rank, 0);
    EXPECT_TRUE(execute("echo").ok());
}

TEST_P(Group, WhatIsNestedTooDeepIsAnErrorAndTheGroupWorksOn) {
    start(2);
    const auto reply = execute("deep_result");
    EXPECT_EQ(reply.code, ReturnCode::execution_result_error);
    EXPECT_THAT(reply.failure->message, HasSubstr("more than 64 deep"));
    Shareable input;
    for (int level = 0; level < 100'000; ++level) {
        Value::Array outer;
        outer.push_back(std::move(input.body));
        input.body = std::move(outer);
    }
    EXPECT_EQ(execute("echo", input).code, ReturnCode::bad_request_data);
    EXPECT_TRUE(execute("echo").ok());
}

TEST(MultiProcessExecutor, M8_RanksThatFindTheirParentGoneEndThemselves) {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    // A host of its own, because it is to be killed.
    const auto host = ::fork();
    if (host == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::execl(RANKEXEC_DOOMED_HOST, RANKEXEC_DOOMED_HOST, RANKEXEC_TEST_WORKER, nullptr);
        ::_exit(127);
    }
    ASSERT_GT(host, 0);
    ::close(ends[1]);
    std::string line;
    for (char character = 0; ::read(ends[0], &character, 1) == 1 && character != '\n';) line += character;
    ::close(ends[0]);
    std::istringstream pids(line);
    std::vector<pollfd> ranks;
    for (pid_t pid = 0; pids >> pid;) {
        ranks.push_back({static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)), POLLIN, 0});
        EXPECT_GE(ranks.back().fd, 0);
    }
    EXPECT_EQ(ranks.size(), 2U);
    ::kill(host, SIGKILL);
    EXPECT_EQ(::waitpid(host, nullptr, 0), host);
    for (auto& rank : ranks) {
        EXPECT_EQ(::poll(&rank, 1, 60'000), 1);
        ::close(rank.fd);
    }
}

TEST_P(Group, OutputOfRanksReachesTheParent) {
    auto options = options_for(2);
    std::mutex mutex;
    std::map<std::pair<int, wire::OutputStream>, std::string> seen;
    options.on_output = [&](int rank, wire::OutputStream stream, std::string_view bytes) {
        const std::lock_guard lock(mutex);
        seen[{rank, stream}] += bytes;
    };
    start(options);
    ASSERT_TRUE(execute("print").ok());
    executor->finalise();
    for (int rank = 0; rank < 2; ++rank) {
        EXPECT_EQ((seen[{rank, wire::OutputStream::standard_output}]), "out of rank " + std::to_string(rank) + "\n");
        EXPECT_EQ((seen[{rank, wire::OutputStream::standard_error}]), "err of rank " + std::to_string(rank) + "\n");
    }
    executor.reset();
}

/// Records what the parent's components see, and answers.
class ParentHandler : public Component {
public:
    void handle_event(const std::string& type, Context& context) override {
        std::unique_lock lock(mutex);
        if (type == "rank.metric") {
            ++running;
            most_running = std::max(most_running, running);
            events.push_back({context.integer_or(property::kFromRank, -1), context.integer_or("sender", -1),
                              context.integer_or("number", -1), context.text_or(property::kEventOrigin, "")});
            context.set("seen", static_cast<std::int64_t>(events.size()));
            lock.unlock();
            if (hold) hold->wait();
            if (reenter) reentered = target->execute("echo", {}, context, Signal());
            std::this_thread::yield();
            lock.lock();
            --running;
        }
        if (type == "rank.nest") {
            const auto level = context.integer_or("level", 0);
            deepest = std::max(deepest, level);
            lock.unlock();
            if (level < limit) fire_event("parent.nest", context);
        }
        if (type == "finalise.now") {
            lock.unlock();
            target->finalise();
        }
    }
    struct Seen {
        std::int64_t from_rank, sender, number;
        std::string origin;
    };
    std::mutex mutex;
    std::vector<Seen> events;
    int running = 0;
    int most_running = 0;
    std::int64_t deepest = 0;
    std::int64_t limit = 3;
    std::optional<std::shared_future<void>> hold;  ///< handlers of metrics wait for it
    bool reenter = false;
    Shareable reentered;
    MultiProcessExecutor* target = nullptr;
};

class WithEngine : public ::testing::Test {
protected:
    void start(MultiProcessOptions options) {
        executor = &static_cast<MultiProcessExecutor&>(
            engine.add("group", std::make_unique<MultiProcessExecutor>(std::move(options))));
        handler = &static_cast<ParentHandler&>(engine.add("handler", std::make_unique<ParentHandler>()));
        handler->target = executor;
        context = engine.new_context();
        engine.fire_event(std::string(event::kStartRun), context);
        ASSERT_EQ(executor->report().state, GroupState::ready);
    }
    ~WithEngine() override {
        if (executor != nullptr) executor->finalise();
    }

    Engine engine;
    MultiProcessExecutor* executor = nullptr;
    ParentHandler* handler = nullptr;
    Context context;
    Signal abort;
};

class EngineGroup : public WithEngine, public ::testing::WithParamInterface<Transport> {
protected:
    void start(MultiProcessOptions options) {
        options.transport = GetParam();
        WithEngine::start(std::move(options));
    }
};
INSTANTIATE_TEST_SUITE_P(Over, EngineGroup, kTransports, name_of);

TEST_P(EngineGroup, M2_StartRunInitialisesAndReachesEachRankOnceAndEndRunReachesRanksBeforeTheyClose) {
    const std::string file = ::testing::TempDir() + "end_run_" + std::to_string(::getpid());
    auto options = options_for(2);
    options.group.environment.push_back("TEST_END_RUN_FILE=" + file);
    start(options);
    EXPECT_EQ(executor->execute("echo", {}, context, abort).header("start_runs")->integer_or(-1), 1);
    engine.fire_event(std::string(event::kEndRun), context);
    EXPECT_EQ(executor->report().state, GroupState::idle);
    for (const auto* rank : {".0", ".1"}) EXPECT_EQ(::unlink((file + rank).c_str()), 0) << rank;
}

TEST_P(EngineGroup, M6_AParentEventReachesTheRanksAndRankZerosChangesComeBack) {
    start(options_for(3));
    context.set("question", "who?");
    engine.fire_event("parent.ask", context);
    EXPECT_EQ(context.text_or("answer", ""), "from rank 0");
    EXPECT_FALSE(context.get("question"));
}

TEST_P(EngineGroup, M6_RankEventsAreHandledOneAtATimeWithTheirRankAndChangesAndAreAllSeenBeforeExecuteReturns) {
    start(options_for(4));
    const auto reply = executor->execute("fire", with_headers({{"count", 25}}), context, abort);
    ASSERT_TRUE(reply.ok()) << reply.failure->describe();
    EXPECT_EQ(handler->events.size(), 100U);
    EXPECT_EQ(handler->most_running, 1);
    std::map<std::int64_t, std::int64_t> next;
    for (const auto& seen : handler->events) {
        EXPECT_EQ(seen.from_rank, seen.sender);
        EXPECT_EQ(seen.origin, "rank");
        EXPECT_EQ(seen.number, next[seen.from_rank]++);
    }
    EXPECT_GT(reply.header("seen")->integer_or(-1), 0);
}

/// Of each sender, numbers from 0 without gaps.
void expect_in_order(const std::vector<ParentHandler::Seen>& events, std::size_t senders, std::int64_t each) {
    std::map<std::int64_t, std::int64_t> next;
    for (const auto& seen : events) {
        ASSERT_EQ(seen.number, next[seen.sender]++) << "sender " << seen.sender;
        ASSERT_EQ(seen.from_rank, seen.sender % 100);
    }
    ASSERT_EQ(next.size(), senders);
    for (const auto& [sender, count] : next) EXPECT_EQ(count, each) << "sender " << sender;
}

TEST_P(EngineGroup, OneWayEventsAreAllHandledInOrderBeforeExecuteReturns) {
    start(options_for(3));
    for (const int turn : {1, 2}) {
        const auto input = with_headers({{"count", 2000}, {"one_way", 1}});
        const auto reply = executor->execute("fire", input, context, abort);
        ASSERT_TRUE(reply.ok()) << reply.failure->describe();
        // What the parent's handlers set is not seen there.
        EXPECT_EQ(reply.header("seen")->integer_or(-1), -1) << turn;
        expect_in_order(std::exchange(handler->events, {}), 3, 2000);
        context.remove("seen");
    }
}

TEST_P(EngineGroup, EventsThatDoNotFitIntoMemoryKeepTheirPlace) {
    start(options_for(2));
    for (const int one_way : {0, 1}) {
        const auto input =
            with_headers({{"count", 200}, {"one_way", one_way}, {"large_every", 20}, {"bytes", 300'000}});
        ASSERT_TRUE(executor->execute("fire", input, context, abort).ok());
        expect_in_order(std::exchange(handler->events, {}), 2, 200);
    }
}

TEST_P(EngineGroup, SeveralThreadsOfARankFireAtOnce) {
    start(options_for(2));
    for (const int one_way : {0, 1}) {
        const auto input =
            with_headers({{"count", 100}, {"one_way", one_way}, {"large_every", 30}, {"bytes", 100'000}});
        ASSERT_TRUE(executor->execute("fire_from_threads", input, context, abort).ok());
        expect_in_order(std::exchange(handler->events, {}), 8, 100);
    }
}

TEST_P(EngineGroup, EventsOfATaskThatWasRequestedAreAllSeenBeforeItsReply) {
    start(options_for(2));
    const auto input = with_headers({{"count", 500}, {"one_way", 1}});
    ASSERT_TRUE(executor->request_execute("fire", input, context, abort).get().reply.ok());
    expect_in_order(handler->events, 2, 500);
}

TEST_P(EngineGroup, OneWayEventsOfTheParentReachTheRanksInOrder) {
    start(options_for(2));
    for (int number = 1; number <= 1000; ++number) {
        if (number % 100 == 0) context.set("large", std::string(200'000, 'x'));
        engine.fire_one_way("parent.count", context);
        context.remove("large");
    }
    engine.fire_event("parent.counted", context);
    EXPECT_EQ(context.integer_or("counted", -1), 1000);
    EXPECT_FALSE(context.get(property::kOneWay));
}

TEST_P(EngineGroup, AParentEventIsAnsweredWhileAHandlerOfARanksEventIsBusy) {
    start(options_for(2));
    std::promise<void> release;
    handler->hold = release.get_future().share();
    auto future = executor->request_execute("fire", with_headers({{"count", 1}}), Context(), abort);
    const auto running = [&] {
        const std::lock_guard lock(handler->mutex);
        return handler->running > 0;
    };
    while (!running()) std::this_thread::yield();
    engine.fire_event("parent.ask", context);
    EXPECT_EQ(context.text_or("answer", ""), "from rank 0");
    release.set_value();
    EXPECT_TRUE(future.get().reply.ok());
}

TEST_P(EngineGroup, EventsThatAreFiredLastAreNotLost) {
    start(options_for(2));
    context.set("last_words", 100);
    engine.fire_event(std::string(event::kEndRun), context);
    expect_in_order(handler->events, 2, 100);
}

TEST_P(EngineGroup, AFloodOfOneWayEventsEndsWithItsGroup) {
    start(options_for(2));
    auto future = executor->request_execute("fire", with_headers({{"count", 100'000'000}, {"one_way", 1}}), context);
    while (true) {
        const std::lock_guard lock(handler->mutex);
        if (handler->events.size() > 1000) break;
    }
    executor->finalise();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
}

TEST_P(EngineGroup, M6_ARanksHandlerMayFireAnEventWhileTheParentWaitsForItsAnswer) {
    start(options_for(2));
    engine.fire_event("parent.nest", context);
    EXPECT_EQ(handler->deepest, 3);
    EXPECT_EQ(context.integer_or("level", -1), 3);
}

TEST_P(EngineGroup, EventsThatNestWithoutEndAreAnErrorAndNotADeadlock) {
    start(options_for(1));
    handler->limit = 1000;
    engine.fire_event("parent.nest", context);
    EXPECT_GT(handler->deepest, 3);
    EXPECT_LT(handler->deepest, 100);
    EXPECT_TRUE(executor->execute("echo", {}, context, abort).ok());
}

/// Each of the three sockets in turn is the slow one.
class SlowChannel : public WithEngine, public ::testing::WithParamInterface<std::tuple<Transport, std::string>> {
protected:
    void start_slow(MultiProcessOptions options) {
        options.transport = std::get<0>(GetParam());
        options.group.environment.push_back("RANKEXEC_TEST_DELAY=" + std::get<1>(GetParam()) + ":40");
        start(options);
    }
};
INSTANTIATE_TEST_SUITE_P(Channels, SlowChannel,
                         ::testing::Combine(kTransports, ::testing::Values("execution", "handler", "relay")),
                         [](const auto& info) {
                             return ::testing::PrintToString(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
                         });

TEST_P(SlowChannel, ExecuteReturnsAfterAllItsEvents) {
    start_slow(options_for(2));
    ASSERT_TRUE(executor->execute("fire", with_headers({{"count", 3}}), context, abort).ok());
    EXPECT_EQ(handler->events.size(), 6U);
}

TEST_P(SlowChannel, ExecuteReturnsAfterAllItsOneWayEvents) {
    start_slow(options_for(2));
    const auto input = with_headers({{"count", 150}, {"one_way", 1}, {"large_every", 70}, {"bytes", 100'000}});
    ASSERT_TRUE(executor->execute("fire", input, context, abort).ok());
    EXPECT_EQ(handler->events.size(), 300U);
}

TEST_P(SlowChannel, AnAbortThatComesBeforeItsTaskIsRemembered) {
    start_slow(options_for(2));
    auto future = executor->request_execute("wait_for_abort", {}, context, abort);
    abort.trigger("early");
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    EXPECT_TRUE(executor->execute("echo", {}, context, Signal()).ok());
}

TEST_P(SlowChannel, CloseIsObeyedAfterTheEventsBeforeIt) {
    const std::string file = ::testing::TempDir() + "end_run_" + std::to_string(::getpid());
    auto options = options_for(2);
    options.group.environment = {"TEST_END_RUN_FILE=" + file};
    start_slow(options);
    engine.fire_event(std::string(event::kEndRun), context);
    for (const auto* rank : {".0", ".1"}) EXPECT_EQ(::unlink((file + rank).c_str()), 0) << rank;
}

TEST_P(EngineGroup, M8_FinaliseFromAHandlerStartsTheEndAndReturns) {
    start(options_for(2));
    auto future = executor->request_execute("fire_finalise", {}, context, abort);
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
    executor->finalise();
    EXPECT_EQ(executor->report().state, GroupState::idle);
}

TEST_P(EngineGroup, ExecuteFromAHandlerOfARanksEventIsRefusedInsteadOfWaitingForItself) {
    start(options_for(1));
    handler->reenter = true;
    ASSERT_TRUE(executor->execute("fire", {with_headers({{"count", 1}})}, context, abort).ok());
    EXPECT_EQ(handler->reentered.code, ReturnCode::bad_request_data);
}

TEST(EngineWithGroup, AnEngineMayBeDestroyedWhileRanksFireEvents) {
    auto engine = std::make_unique<Engine>();
    auto& executor = static_cast<MultiProcessExecutor&>(
        engine->add("group", std::make_unique<MultiProcessExecutor>(options_for(2))));
    engine->add("handler", std::make_unique<ParentHandler>());
    Context context = engine->new_context();
    engine->fire_event(std::string(event::kStartRun), context);
    auto future = executor.request_execute("fire", with_headers({{"count", 100'000}}), context);
    engine.reset();
    EXPECT_EQ(future.get().reply.code, ReturnCode::task_aborted);
}

TEST_P(EngineGroup, M7_ARanksContextHoldsRankAndWorldSizeWhichNeverComeBack) {
    start(options_for(2));
    EXPECT_EQ(executor->execute("echo", {}, context, abort).header("world_size")->integer_or(-1), 2);
    EXPECT_FALSE(context.get(property::kRank));
    EXPECT_FALSE(context.get(property::kWorldSize));
}

}  // namespace
}  // namespace rankexec
