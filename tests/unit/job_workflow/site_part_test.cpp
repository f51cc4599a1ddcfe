// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "fake_run.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"

namespace rankexec::job {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

/// A task that the test lets end.
struct Gate {
    Signal started;
    Signal released;
    FakeWork::Execute execute() {
        return [this](const std::string&, const Shareable&, const Signal&) {
            started.trigger("");
            released.wait();
            return with_header("answer", 42);
        };
    }
};

TEST(J7_Part, TaskOutlivesACutConnectionAndIsExecutedOnce) {
    Gate gate;
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = gate.execute();
    auto reply = std::async(std::launch::async, [&] { return run.session().send("a", "train", {}, hours(1)); });
    gate.started.wait();
    run.hub.cut(peer_of_part(kJob, "a"));
    gate.released.trigger("");
    run.hub.connect(peer_of_part(kJob, "a"));
    EXPECT_EQ(*reply.get().header("answer"), Value(42));
    EXPECT_THAT(run.site("a").work.executed(), ElementsAre("train"));
}

/// What a workflow does that was restored: the same task again.
TEST(J7_Part, RestartedControllerGetsTheAnswerOfTheTaskThatItsPredecessorGave) {
    Gate gate;
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    EXPECT_TRUE(run.session().send("a", "first", {}, hours(1)).ok());
    run.session().save_snapshot(with_header("round", 1));
    run.site("a").work.on_execute = gate.execute();
    auto lost = std::async(std::launch::async, [&] { return run.session().send("a", "train", {}, hours(1)); });
    gate.started.wait();
    run.hub.cut(peer_of_part(kJob, "controller"));
    run.abort.trigger("killed");  // only to get the call back: nobody hears of it any more
    EXPECT_EQ(lost.get().code, ReturnCode::task_aborted);
    run.end_controller_part();
    gate.released.trigger("");

    run.abort = Signal();
    run.start_controller_part();
    ASSERT_TRUE(run.session().load_snapshot());
    ASSERT_TRUE(run.session().snapshot());
    EXPECT_EQ(*run.session().snapshot()->header("round"), Value(1));
    ASSERT_TRUE(run.wait_sites());
    EXPECT_EQ(*run.session().send("a", "train", {}, hours(1)).header("answer"), Value(42));
    EXPECT_THAT(run.site("a").work.executed(), ElementsAre("first", "train"));
}

/// It was killed after it had the results, but before it had saved what they came to.
TEST(J7_Part, RestartedControllerGetsAllAnswersSinceItsSnapshot) {
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    EXPECT_TRUE(run.session().send("a", "first", {}, hours(1)).ok());
    run.session().save_snapshot({});
    for (const auto* task : {"train", "validate"}) EXPECT_TRUE(run.session().send("a", task, {}, hours(1)).ok());
    run.end_controller_part();
    run.start_controller_part();
    ASSERT_TRUE(run.session().load_snapshot());
    ASSERT_TRUE(run.wait_sites());
    for (const auto* task : {"train", "validate", "next"}) {
        EXPECT_TRUE(run.session().send("a", task, {}, hours(1)).ok());
    }
    EXPECT_THAT(run.site("a").work.executed(), ElementsAre("first", "train", "validate", "next"));
}

TEST(J7_Part, WhatIsInASnapshotIsForgotten) {
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    EXPECT_TRUE(run.session().send("a", "first", {}, hours(1)).ok());
    run.session().save_snapshot({});
    EXPECT_TRUE(run.session().send("a", "second", {}, hours(1)).ok());
    {
        const std::lock_guard lock(run.mutex);
        run.snapshot.reset();
    }
    run.end_controller_part();
    run.start_controller_part();  // begins anew
    ASSERT_TRUE(run.wait_sites());
    EXPECT_TRUE(run.session().send("a", "first", {}, hours(1)).ok());
    EXPECT_THAT(run.site("a").work.executed(), ElementsAre("first", "second", "first"));
}

TEST(J7_Part, SameTaskWithAnotherInputIsAnotherTask) {
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    EXPECT_TRUE(run.session().send("a", "train", with_header("x", 1), hours(1)).ok());
    run.end_controller_part();
    run.start_controller_part();  // without a snapshot it counts from the beginning
    ASSERT_TRUE(run.wait_sites());
    EXPECT_EQ(*run.session().send("a", "train", with_header("x", 2), hours(1)).header("x"), Value(2));
    EXPECT_THAT(run.site("a").work.executed(), ElementsAre("train", "train"));
}

TEST(J7_Part, SiteThatWasStartedAgainGetsItsTaskAgain) {
    Gate gate;
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = gate.execute();
    auto reply = std::async(std::launch::async, [&] { return run.session().send("a", "train", {}, hours(1)); });
    gate.started.wait();
    run.hub.cut(peer_of_part(kJob, "a"));
    gate.released.trigger("");
    run.start("a");
    EXPECT_TRUE(reply.get().ok());
    EXPECT_THAT(run.site("a").work.executed(), ElementsAre("train"));
}

TEST(J7_Part, EndsWhenTheControllerStaysAway) {
    FakeRun run({"a"});
    run.controller_gone_after = milliseconds(30);
    run.start_all();
    run.site("a").work.on_execute = [](const std::string&, const Shareable&, const Signal& abort) {
        abort.wait();
        return Shareable::failed(ReturnCode::task_aborted, abort.reason());
    };
    ASSERT_TRUE(run.wait_sites());
    auto reply = std::async(std::launch::async, [&] { return run.session().send("a", "train", {}, hours(1)); });
    run.hub.cut(peer_of_part(kJob, "a"));
    const auto end = run.site("a").wait();
    EXPECT_EQ(end.outcome, PartOutcome::controller_gone);
    EXPECT_TRUE(run.site("a").work.finalised);
    run.abort.trigger("the test is over");
    EXPECT_FALSE(reply.get().ok());
}

TEST(J5_Part, EndsWithTheRun) {
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    EXPECT_TRUE(run.session().send("a", "train", {}, hours(1)).ok());
    run.session().end_sites("the workflow is done", false, milliseconds(10'000));
    const auto end = run.site("a").wait();
    EXPECT_EQ(end.outcome, PartOutcome::success);
    EXPECT_EQ(end.tasks, 1);
    EXPECT_EQ(run.site("b").wait().tasks, 0);
    EXPECT_TRUE(run.site("a").work.finalised);
}

TEST(J5_Part, FailureOfATaskIsAnAnswerAndThePartGoesOn) {
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = [](const std::string& task, const Shareable& input, const Signal&) {
        return task == "bad" ? Shareable::failed(ReturnCode::execution_exception, "out of ink") : input;
    };
    EXPECT_EQ(run.session().send("a", "bad", {}, hours(1)).failure->message, "out of ink");
    EXPECT_TRUE(run.session().send("a", "good", {}, hours(1)).ok());
}

TEST(J6_Part, AbortEndsTaskAndPart) {
    Signal started;
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = [&](const std::string&, const Shareable&, const Signal& abort) {
        started.trigger("");
        abort.wait();
        return Shareable::failed(ReturnCode::task_aborted, abort.reason());
    };
    auto reply = std::async(std::launch::async, [&] { return run.session().send("a", "train", {}, hours(1)); });
    started.wait();
    ASSERT_TRUE(run.ask("a", topic::kAbortRun, {{"reason", "job aborted by alice"}}));
    const auto end = run.site("a").wait();
    EXPECT_EQ(end.outcome, PartOutcome::aborted);
    EXPECT_THAT(end.failure->message, HasSubstr("alice"));
    EXPECT_EQ(reply.get().code, ReturnCode::task_aborted);
}

TEST(J6_Part, AbortEndsAStartThatIsUnderWay) {
    Signal started;
    FakeHub hub;
    FakeSite site(hub, "a", hours(1));
    site.work.on_initialise = [&](const Signal& abort) -> tl::expected<void, Failure> {
        started.trigger("");
        abort.wait();
        Failure failure;
        failure.code = ReturnCode::task_aborted;
        return tl::unexpected(failure);
    };
    site.start();
    started.wait();
    site.part().abort("enough");
    EXPECT_EQ(site.wait().outcome, PartOutcome::aborted);
    hub.close();
}

TEST(J11_Part, LaunchersOwnFailureIsAClassOfItsOwn) {
    FakeHub hub;
    FakeSite site(hub, "a", hours(1));
    site.work.on_initialise = [](const Signal&) -> tl::expected<void, Failure> {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = "there is no srun";
        return tl::unexpected(failure);
    };
    site.start();
    const auto end = site.wait();
    EXPECT_EQ(end.outcome, PartOutcome::launch_failed);
    EXPECT_EQ(end.failure->message, "there is no srun");
    EXPECT_TRUE(site.work.finalised);
    hub.close();
}

TEST(J3_Part, OnlyTheControllerPartGivesTasks) {
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    const auto reply = run.ask("a", topic::kTask, {{"task", "train"}, {"id", "1"}});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->code, ReturnCode::bad_request_data);
    EXPECT_TRUE(run.site("a").work.executed().empty());
}

}  // namespace
}  // namespace rankexec::job
