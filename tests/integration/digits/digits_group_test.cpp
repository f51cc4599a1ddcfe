// SPDX-License-Identifier: Apache-2.0
// The digits job's ranks as real processes, through MultiProcessExecutor and the local launcher.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>

#include <rankexec/core/component/engine.hpp>
#include <rankexec/core/executor/multi_process_executor.hpp>

#include "store_server.hpp"

namespace digits {
namespace {

using rankexec::ReturnCode;
using rankexec::Shareable;
using rankexec::Signal;
using rankexec::Value;

/// Calls back for every metric event.
class OnMetric : public rankexec::Component {
public:
    using Callback = std::function<void(const Value& metric)>;
    explicit OnMetric(Callback callback) : callback_(std::move(callback)) {}
    void handle_event(const std::string& type, rankexec::Context& context) override {
        if (type == "metric") callback_(*context.get("metric"));
    }

private:
    Callback callback_;
};

class DigitsGroup {
public:
    explicit DigitsGroup(
        int ranks, Value::Map args = {}, OnMetric::Callback on_metric = [](const Value&) {}) {
        args["data"] = DIGITS_DATA;
        rankexec::MultiProcessOptions options;
        options.group.world_size = ranks;
        options.group.program = {DIGITS_WORKER};
        options.components = {{"store", "digits_gloo_store", {}}, {"trainer", "digits_trainer", std::move(args)}};
        options.executor_id = "trainer";
        options.abort_grace = std::chrono::milliseconds(300);
        options.group.grace = std::chrono::milliseconds(300);
        engine_.add("store_server", std::make_unique<StoreServer>());
        engine_.add("metrics", std::make_unique<OnMetric>(std::move(on_metric)));
        executor_ = &dynamic_cast<rankexec::MultiProcessExecutor&>(
            engine_.add("group", std::make_unique<rankexec::MultiProcessExecutor>(std::move(options))));
    }
    ~DigitsGroup() { executor_->finalise(); }
    DigitsGroup(const DigitsGroup&) = delete;
    DigitsGroup& operator=(const DigitsGroup&) = delete;

    void start() {
        auto context = engine_.new_context();
        const auto ready = executor_->initialise(context);
        ASSERT_TRUE(ready) << ready.error().describe();
    }

    Shareable execute(const std::string& task, int round, const Shareable::Tensors& model = {},
                      const Signal& abort = {}) {
        Shareable input;
        input.headers = {{"round", round}, {"task_number", ++tasks_}};
        input.tensors = model;
        auto context = engine_.new_context();
        return executor_->execute(task, input, context, abort);
    }

    /// Throws std::runtime_error for 0, which would mean every process of the test to kill(2).
    pid_t pid_of(int rank) {
        const auto pid = static_cast<pid_t>(executor_->report().ranks.at(static_cast<std::size_t>(rank)).pid);
        if (pid <= 0) throw std::runtime_error("rank " + std::to_string(rank) + " has no process");
        return pid;
    }
    void finalise() { executor_->finalise(); }

private:
    rankexec::Engine engine_;
    rankexec::MultiProcessExecutor* executor_ = nullptr;
    int tasks_ = 0;
};

std::string why(const Shareable& reply) {
    return reply.failure ? reply.failure->describe() : std::string(to_string(reply.code));
}

TEST(DigitsGroup, LearnsAndItsEventsArrive) {
    int metrics = 0;
    DigitsGroup group(4, {}, [&](const Value&) { ++metrics; });
    group.start();
    Shareable::Tensors model;
    for (int round = 1; round <= 2; ++round) {
        const auto reply = group.execute("train", round, model);
        ASSERT_TRUE(reply.ok()) << why(reply);
        model = reply.tensors;
    }
    const auto reply = group.execute("validate", 2, model);
    ASSERT_TRUE(reply.ok()) << why(reply);
    EXPECT_EQ(reply.header("samples")->integer_or(0), 355);
    EXPECT_GT(reply.header("accuracy")->real_or(0), 0.9);
    EXPECT_EQ(metrics, 4 * 2 * 3) << "ranks, rounds, epochs";
}

// The others sit in a collective with the dead rank, or connect to it.
TEST(DigitsGroup, RankKilledWhileTrainingIsNamedAndTheGroupCanStartAgain) {
    DigitsGroup* running = nullptr;
    bool killed = false;
    DigitsGroup group(4, {{"epochs", 10'000}}, [&](const Value&) {
        if (!killed) ::kill(running->pid_of(2), SIGKILL);
        killed = true;
    });
    running = &group;
    group.start();
    const auto reply = group.execute("train", 1);
    EXPECT_EQ(reply.code, ReturnCode::execution_exception) << why(reply);
    ASSERT_TRUE(reply.failure);
    EXPECT_EQ(reply.failure->rank, 2) << why(reply);
    ASSERT_TRUE(reply.failure->exit) << why(reply);
    EXPECT_EQ(reply.failure->exit->number, SIGKILL);
    group.finalise();

    group.start();
    const auto refused = group.execute("validate", 1);
    EXPECT_EQ(refused.code, ReturnCode::bad_task_data) << why(refused);
}

TEST(DigitsGroup, AbortEndsTrainingThoughOneRankHangs) {
    DigitsGroup* running = nullptr;
    const Signal abort;
    DigitsGroup group(3, {{"epochs", 10'000}}, [&](const Value&) {
        ::kill(running->pid_of(1), SIGSTOP);
        abort.trigger("enough");
    });
    running = &group;
    group.start();
    const auto reply = group.execute("train", 1, {}, abort);
    EXPECT_EQ(reply.code, ReturnCode::task_aborted) << why(reply);
}

}  // namespace
}  // namespace digits
