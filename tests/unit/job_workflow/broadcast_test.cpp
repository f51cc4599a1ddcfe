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

/// Answers with the site's name in the header "site".
void answer_with_name(FakeRun& run, const std::string& site) {
    run.site(site).work.on_execute = [site](const std::string&, const Shareable& input, const Signal&) {
        auto reply = input;
        reply.headers.insert_or_assign("site", site);
        return reply;
    };
}

WorkflowSession::Broadcast broadcast_of(const std::string& task, int min_responses = 0) {
    WorkflowSession::Broadcast broadcast;
    broadcast.task = task;
    broadcast.min_responses = min_responses;
    return broadcast;
}

/// Ends its task only when the test lets it, whatever the abort says.
class Held {
public:
    FakeWork::Execute execute() {
        return [this](const std::string&, const Shareable& input, const Signal& abort) {
            started_.trigger("");
            released_.wait();
            was_aborted = abort.triggered();
            return input;
        };
    }
    void wait_started() const { started_.wait(); }
    void release() const { released_.trigger(""); }
    std::atomic<bool> was_aborted = false;

private:
    Signal started_;
    Signal released_;
};

TEST(J5_Workflow, BroadcastGivesTheRepliesBySite) {
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    answer_with_name(run, "a");
    answer_with_name(run, "b");
    auto broadcast = broadcast_of("train");
    broadcast.input = with_header("round", 7);
    const auto replies = run.session().broadcast_and_wait(broadcast);
    ASSERT_TRUE(replies) << replies.error().message;
    ASSERT_EQ(replies->size(), 2U);
    EXPECT_EQ(*replies->at("a").header("site"), Value("a"));
    EXPECT_EQ(*replies->at("b").header("site"), Value("b"));
    EXPECT_EQ(*replies->at("b").header("round"), Value(7));
}

TEST(J5_Workflow, RelayHandsEachReplyToTheNextSite) {
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    for (const auto* name : {"a", "b"}) {
        run.site(name).work.on_execute = [name](const std::string&, const Shareable& input, const Signal&) {
            return with_header("way", input.header("way")->text_or("") + name);
        };
    }
    const auto reply = run.session().relay({"b", "a", "b"}, "pass", with_header("way", ""), hours(1));
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(*reply.header("way"), Value("bab"));
}

TEST(J5_Workflow, RelayEndsAtTheFirstFailure) {
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = [](const std::string&, const Shareable&, const Signal&) {
        return Shareable::failed(ReturnCode::bad_task_data, "no such data");
    };
    const auto reply = run.session().relay({"a", "b"}, "pass", {}, hours(1));
    EXPECT_EQ(reply.code, ReturnCode::bad_task_data);
    EXPECT_TRUE(run.site("b").work.executed().empty());
}

TEST(J5_Workflow, StragglerIsToldToGiveUpAndItsResultCounted) {
    Held held;
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("b").work.on_execute = held.execute();
    run.site("a").work.on_execute = [&](const std::string&, const Shareable& input, const Signal&) {
        held.wait_started();
        return input;
    };
    const auto replies = run.session().broadcast_and_wait(broadcast_of("train", 1));
    ASSERT_TRUE(replies) << replies.error().message;
    EXPECT_EQ(replies->size(), 1U);
    EXPECT_TRUE(replies->contains("a"));
    EXPECT_EQ(run.session().late_results(), 0);
    // What b is told now comes after it was told to give the first one up.
    auto second = std::async(std::launch::async, [&] { return run.session().send("b", "next", {}, hours(1)); });
    held.release();
    EXPECT_TRUE(second.get().ok());
    EXPECT_EQ(run.session().late_results(), 1);
}

TEST(J5_Workflow, OthersGetTheirTimeAfterTheFewestAreThere) {
    Held held;
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("b").work.on_execute = held.execute();
    auto broadcast = broadcast_of("train", 1);
    broadcast.wait_after_min = hours(1);
    auto replies = std::async(std::launch::async, [&] { return run.session().broadcast_and_wait(broadcast); });
    held.wait_started();
    held.release();
    EXPECT_EQ(replies.get()->size(), 2U);
}

TEST(J5_Workflow, FailsWhenTooFewCanStillAnswer) {
    Held held;
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = [](const std::string&, const Shareable&, const Signal&) {
        return Shareable::failed(ReturnCode::execution_exception, "out of ink");
    };
    run.site("b").work.on_execute = held.execute();
    const auto replies = run.session().broadcast_and_wait(broadcast_of("train"));
    ASSERT_FALSE(replies);
    EXPECT_EQ(replies.error().code, ReturnCode::execution_exception);
    EXPECT_THAT(replies.error().message, HasSubstr("site a: out of ink"));
    held.release();
}

TEST(J5_Workflow, FailsWhenItsTimeIsOver) {
    Held held;
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = held.execute();
    auto broadcast = broadcast_of("train");
    broadcast.timeout = milliseconds(20);
    const auto replies = run.session().broadcast_and_wait(broadcast);
    ASSERT_FALSE(replies);
    EXPECT_EQ(replies.error().code, ReturnCode::task_timeout);
    held.release();
}

TEST(J5_Workflow, SiteThatIsLostHasAFailedReply) {
    Held held;
    FakeRun run({"a", "b"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("b").work.on_execute = held.execute();
    auto broadcast = broadcast_of("train", 1);
    broadcast.wait_after_min = hours(1);
    auto replies = std::async(std::launch::async, [&] { return run.session().broadcast_and_wait(broadcast); });
    held.wait_started();
    ASSERT_TRUE(
        run.ask("controller", topic::kSiteLost, {{"site", "b"}, {"why", "its machine is gone"}, {"final", true}}));
    const auto got = replies.get();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->at("b").code, ReturnCode::execution_exception);
    EXPECT_THAT(got->at("b").failure->message, HasSubstr("its machine is gone"));
    EXPECT_THAT(run.session().sites(), ElementsAre("a"));
    held.release();
}

TEST(J5_Workflow, SiteThatStaysAwayIsLost) {
    FakeRun run({"a", "b"});
    run.end_controller_part();
    run.options.site_gone_after = milliseconds(20);
    run.start_controller_part();
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.hub.cut(peer_of_part(kJob, "b"));
    const auto reply = run.session().send("b", "train", {}, hours(1));
    EXPECT_EQ(reply.code, ReturnCode::execution_exception);
    EXPECT_THAT(run.session().sites(), ElementsAre("a"));
}

TEST(J5_Workflow, UnknownSiteIsRefused) {
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    EXPECT_EQ(run.session().send("c", "train", {}, hours(1)).code, ReturnCode::bad_request_data);
}

TEST(J4_Workflow, BeginsWhenAllSitesAreThere) {
    FakeRun run({"a", "b"}, 2);
    run.start("a");
    auto ready = std::async(std::launch::async, [&] { return run.wait_sites(); });
    run.start("b");
    EXPECT_TRUE(ready.get());
    EXPECT_THAT(run.session().sites(), ElementsAre("a", "b"));
}

TEST(J4_Workflow, BeginsWithoutSitesThatDoNotCome) {
    FakeRun run({"a", "b"}, 1);
    run.start("a");
    ASSERT_TRUE(run.ask("controller", topic::kSiteLost, {{"site", "b"}, {"why", "no start"}, {"final", true}}));
    ASSERT_TRUE(run.wait_sites());
    EXPECT_THAT(run.session().sites(), ElementsAre("a"));
}

TEST(J4_Workflow, HearsOfSitesThatWereLostBeforeItWasThere) {
    FakeRun run({"a", "b"}, 2);
    run.end_controller_part();
    {
        // The controller may still be answering the first part.
        const std::lock_guard lock(run.mutex);
        run.lost = {{"b", "no start"}};
    }
    run.start_controller_part();
    run.start("a");
    const auto ready = run.wait_sites();
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, HasSubstr("b: no start"));
}

TEST(J4_Workflow, FailsWithFewerThanMinSites) {
    FakeRun run({"a", "b"}, 2);
    run.start("a");
    ASSERT_TRUE(run.ask("controller", topic::kSiteLost, {{"site", "b"}, {"why", "no start"}, {"final", true}}));
    const auto ready = run.wait_sites();
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, HasSubstr("b: no start"));
}

TEST(J6_Workflow, AbortEndsAWait) {
    FakeRun run({"a"});
    run.start_all();
    ASSERT_TRUE(run.wait_sites());
    run.site("a").work.on_execute = [](const std::string&, const Shareable&, const Signal& abort) {
        abort.wait();
        return Shareable::failed(ReturnCode::task_aborted, abort.reason());
    };
    auto replies =
        std::async(std::launch::async, [&] { return run.session().broadcast_and_wait(broadcast_of("train")); });
    ASSERT_TRUE(run.ask("controller", topic::kAbortRun, {{"reason", "enough"}}));
    const auto got = replies.get();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, ReturnCode::task_aborted);
    EXPECT_EQ(run.session().abort().reason(), "enough");
}

}  // namespace
}  // namespace rankexec::job
