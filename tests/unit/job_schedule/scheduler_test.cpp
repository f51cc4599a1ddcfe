// SPDX-License-Identifier: Apache-2.0
// J8: which job runs when, and where.
#include "rankexec/core/job/schedule/scheduler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rankexec/core/component/configuration_error.hpp"
#include "unit/job_schedule/schedule_bench.hpp"

namespace rankexec::job::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::Pair;
using testing::SizeIs;
using testing::StartsWith;

class J8_Scheduler : public ScheduleBench {
protected:
    /// Ids of the jobs that it places.
    std::vector<std::string> placed() {
        last = scheduler().pass();
        std::vector<std::string> names;
        for (const auto& placement : last.placements) names.push_back(placement.job.name);
        return names;
    }
    Scheduler::Pass last;
};

TEST_F(J8_Scheduler, OneJobAtATimeFirstComeFirstServed) {
    pool.connect("a");
    submit("first");
    submit("second");
    EXPECT_THAT(placed(), ElementsAre("first"));
    EXPECT_THAT(last.placements[0].reservations, ElementsAre(Key("a")));
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_FALSE(last.wake_in);
    end("first");
    EXPECT_THAT(placed(), ElementsAre("second"));
}

TEST_F(J8_Scheduler, TheTimeOfSubmissionDecidesNotTheOrderInTheStore) {
    pool.connect("a");
    now += seconds(100);
    submit("later");
    now -= seconds(50);
    submit("earlier");
    now += seconds(50);
    EXPECT_THAT(placed(), ElementsAre("earlier"));
}

TEST_F(J8_Scheduler, AsManyAsFitInOnePass) {
    options.max_jobs = 3;
    pool.connect("a", 3);
    for (const auto* name : {"one", "two", "three", "four"}) submit(name, gpus(1));
    EXPECT_THAT(placed(), ElementsAre("one", "two", "three"));
    EXPECT_THAT(scheduler().holders(), SizeIs(3));
}

TEST_F(J8_Scheduler, WhatThisPassHasReservedIsNotAskedForAgain) {
    options.max_jobs = 3;
    pool.connect("a", 3);
    submit("one", gpus(2));
    submit("two", gpus(2));
    submit("three", gpus(1));
    EXPECT_THAT(placed(), ElementsAre("one", "three"));
    EXPECT_THAT(pool.asked, SizeIs(2));
    EXPECT_THAT(record("two").reason, HasSubstr("needs 2 GPUs at a, 1 free"));
}

TEST_F(J8_Scheduler, BlockedJobsDoNotHoldUpOthers) {
    pool.connect("a", 1);
    submit("large", gpus(1));
    pool.set_free_gpus("a", 0);
    submit("malformed", definition());
    malformed.insert("malformed");
    submit("nowhere", at("b"));
    submit("small", definition());
    EXPECT_THAT(placed(), ElementsAre("small"));
    EXPECT_EQ(record("large").status, JobStatus::submitted);
    EXPECT_EQ(record("nowhere").status, JobStatus::submitted);
}

TEST_F(J8_Scheduler, AMalformedJobIsGivenUpAtOnceWithTheReason) {
    pool.connect("a");
    submit("malformed");
    malformed.insert("malformed");
    auto empty = definition();
    empty.parts.clear();
    submit("without-a-map", empty);
    EXPECT_THAT(placed(), IsEmpty());
    ASSERT_THAT(last.given_up, SizeIs(2));
    EXPECT_EQ(last.given_up[0].status, JobStatus::cannot_schedule);
    EXPECT_THAT(last.given_up[0].reason, HasSubstr("malformed in job.toml"));
    EXPECT_THAT(record("without-a-map").reason, HasSubstr("names no site"));
    EXPECT_THAT(record("without-a-map").attempts, SizeIs(1));
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(last.given_up, IsEmpty());
}

TEST_F(J8_Scheduler, ADefinitionThatCannotBeReadNowIsTriedAgain) {
    pool.connect("a");
    submit("job");
    unreadable = true;
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(record("job").reason, HasSubstr("disk on fire"));
    unreadable = false;
    now += seconds(10);
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, BacksOffTwiceAsLongEachTime) {
    pool.connect("a");
    pool.refusals["a"] = "busy with other things";
    submit("job");
    for (const auto wait : {10, 20, 40, 80, 160, 320, 600, 600, 600}) {
        EXPECT_THAT(placed(), IsEmpty());
        EXPECT_EQ(last.wake_in, milliseconds(seconds(wait)));
        const auto asked = pool.asked.size();
        now += seconds(wait) - milliseconds(1);
        EXPECT_THAT(placed(), IsEmpty());
        EXPECT_EQ(last.wake_in, milliseconds(1));
        EXPECT_EQ(pool.asked.size(), asked);
        now += milliseconds(1);
    }
    EXPECT_EQ(record("job").attempt_count, 9);
    EXPECT_EQ(record("job").status, JobStatus::submitted);
}

TEST_F(J8_Scheduler, WhenAttemptsAreUsedUpItCannotBeScheduled) {
    pool.connect("a");
    pool.refusals["a"] = "busy with other things";
    submit("job");
    for (int i = 0; i < 9; ++i) {
        EXPECT_THAT(placed(), IsEmpty());
        EXPECT_THAT(last.given_up, IsEmpty());
        now += minutes(10);
    }
    EXPECT_THAT(placed(), IsEmpty());
    ASSERT_THAT(last.given_up, SizeIs(1));
    EXPECT_FALSE(last.wake_in);
    const auto job = record("job");
    EXPECT_EQ(job.status, JobStatus::cannot_schedule);
    EXPECT_THAT(job.attempts, SizeIs(10));
    EXPECT_THAT(job.reason, AllOf(HasSubstr("all 10 attempts"), HasSubstr("a: busy with other things")));
    EXPECT_THAT(scheduler().holders(), IsEmpty());
}

TEST_F(J8_Scheduler, ARestartForgetsNeitherAttemptsNorBackOff) {
    pool.connect("a");
    pool.refusals["a"] = "busy";
    submit("job");
    (void)placed();
    now += seconds(10);
    (void)placed();
    restart();
    now += seconds(19);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_EQ(last.wake_in, milliseconds(1000));
    EXPECT_THAT(pool.asked, SizeIs(2));
    now += seconds(1);
    (void)placed();
    EXPECT_EQ(record("job").attempt_count, 3);
}

TEST_F(J8_Scheduler, AJobThatWasPlacedWhenTheControllerEndedIsDueAtOnce) {
    pool.connect("a");
    submit("job");
    EXPECT_THAT(placed(), ElementsAre("job"));
    restart();
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, AClockThatWasSetBackHoldsNobodyUp) {
    pool.connect("a");
    pool.refusals["a"] = "busy";
    submit("job");
    (void)placed();
    pool.refusals.clear();
    now -= std::chrono::hours(24);
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, NothingIsTriedWhileNoSiteIsConnected) {
    submit("job");
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_FALSE(last.wake_in);
    EXPECT_EQ(record("job").attempt_count, 0);
    EXPECT_EQ(scheduler().explain(record("job")), "waits for sites: none is connected");
}

TEST_F(J8_Scheduler, RequiredSitesMustBeConnected) {
    pool.connect("a");
    auto job = definition();
    job.required_sites = {"b"};
    submit("job", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(record("job").reason, HasSubstr("the required site b is not connected"));
    EXPECT_THAT(pool.asked, IsEmpty());
}

TEST_F(J8_Scheduler, EnoughSitesMustBeConnected) {
    pool.connect("a");
    pool.connect("other");
    auto job = at("a", "b", "c");
    job.min_sites = 2;
    submit("job", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(record("job").reason, HasSubstr("1 of at least 2 sites are connected"));
    EXPECT_THAT(pool.asked, IsEmpty());
}

TEST_F(J8_Scheduler, SitesThatComeAreTakenBeforeTheBackOffIsOver) {
    pool.connect("a");
    submit("job", at("b"));
    for (int i = 0; i < 4; ++i) {
        (void)placed();
        now += seconds(80);
    }
    (void)placed();
    EXPECT_EQ(last.wake_in, milliseconds(seconds(160)));
    pool.connect("b");
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, ResourcesThatComeAreTakenBeforeTheBackOffIsOver) {
    pool.connect("a", 2);
    pool.set_free_gpus("a", 1);
    submit("job", gpus(2));
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_EQ(record("job").attempt_count, 1);
    pool.set_free_gpus("a", 2);
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, ASiteThatRefusesAgainAndAgainIsNotAskedBeforeTheBackOffIsOver) {
    pool.connect("a", 2);
    pool.refusals["a"] = "no";
    submit("job", gpus(1));
    (void)placed();
    for (int i = 0; i < 5; ++i) {
        pool.set_free_gpus("a", 1 + i % 2);
        (void)placed();
    }
    EXPECT_THAT(pool.asked, SizeIs(1));
}

TEST_F(J8_Scheduler, AVetoEndsTheJobOrJustThisAttempt) {
    pool.connect("a");
    submit("forbidden");
    submit("not-yet");
    veto = [](const JobRecord& job, const JobDefinition&) -> std::optional<Scheduler::Veto> {
        if (job.name == "forbidden") return Scheduler::Veto{"its submitter is unknown to policy"};
        return Scheduler::Veto{"not before midnight", false};
    };
    EXPECT_THAT(placed(), IsEmpty());
    ASSERT_THAT(last.given_up, SizeIs(1));
    EXPECT_THAT(record("forbidden").reason, HasSubstr("its submitter is unknown to policy"));
    EXPECT_EQ(record("not-yet").status, JobStatus::submitted);
    EXPECT_THAT(record("not-yet").reason, HasSubstr("not before midnight"));
    EXPECT_THAT(pool.asked, IsEmpty());
}

TEST_F(J8_Scheduler, TheChecksComeInTheirOrder) {
    std::vector<std::string> fired;
    veto = [&](const JobRecord& job, const JobDefinition&) -> std::optional<Scheduler::Veto> {
        fired.push_back(job.name);
        return std::nullopt;
    };
    options.max_jobs = 9;
    pool.connect("a", 1);
    submit("not-connected", at("b"));
    submit("no-resources", gpus(2));
    submit("good", gpus(1));
    EXPECT_THAT(placed(), ElementsAre("good"));
    // The veto comes after the connections and before the resources.
    EXPECT_THAT(fired, ElementsAre("no-resources", "good"));
}

TEST_F(J8_Scheduler, OnlySitesThatFitAreAsked) {
    pool.connect("a", 1);
    pool.connect("b", 0);
    pool.connect("c", 1);
    submit("job", gpus(1));
    EXPECT_THAT(placed(), ElementsAre("job"));
    EXPECT_THAT(last.placements[0].reservations, ElementsAre(Key("a"), Key("c")));
    EXPECT_THAT(pool.asked, SizeIs(2));
}

TEST_F(J8_Scheduler, AnyShortfallCancelsAllReservations) {
    pool.connect("a");
    pool.connect("b");
    pool.connect("c");
    pool.refusals["b"] = "just taken";
    pool.silent.insert("c");
    auto job = definition();
    job.min_sites = 2;
    submit("job", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(pool.cancelled, ElementsAre(Pair("a", testing::_)));
    EXPECT_THAT(pool.reserved, IsEmpty());
    EXPECT_THAT(record("job").reason, AllOf(HasSubstr("b: just taken"), HasSubstr("c: it has not answered")));
}

TEST_F(J8_Scheduler, ARequiredSiteThatRefusesIsAShortfall) {
    pool.connect("a");
    pool.connect("b");
    pool.refusals["b"] = "just taken";
    auto job = definition();
    job.required_sites = {"b"};
    submit("job", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(pool.reserved, IsEmpty());
}

TEST_F(J8_Scheduler, ARequiredSiteThatDoesNotAnswerIsAShortfall) {
    pool.connect("a");
    pool.connect("b");
    pool.silent.insert("b");
    auto job = definition();
    job.required_sites = {"b"};
    submit("job", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(pool.reserved, IsEmpty());
    EXPECT_THAT(record("job").reason, HasSubstr("b: it has not answered"));
}

TEST_F(J8_Scheduler, RequiredSitesMustHaveTheResources) {
    pool.connect("a", 1);
    pool.connect("b", 1);
    pool.set_free_gpus("b", 0);
    auto job = gpus(1);
    job.required_sites = {"b"};
    submit("job", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(record("job").reason, HasSubstr("needs 1 GPU at b, 0 free"));
    EXPECT_THAT(pool.asked, IsEmpty());
    pool.set_free_gpus("b", 1);
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, SitesThatRefuseAreLeftOutWhileEnoughRemain) {
    pool.connect("a");
    pool.connect("b");
    pool.refusals["b"] = "just taken";
    submit("job");
    EXPECT_THAT(placed(), ElementsAre("job"));
    EXPECT_THAT(last.placements[0].reservations, ElementsAre(Key("a")));
}

TEST_F(J8_Scheduler, EachPartHasItsOwnNeed) {
    pool.connect("a", 2);
    pool.connect("b", 0);
    pool.connect("c", 0);
    JobDefinition job;
    job.min_sites = 3;
    job.parts.push_back({"gpu", {"a"}, {2, 0, 0, 0}});
    job.parts.push_back({"cpu", {std::string(kAllSites)}, {0, 0, 4, 0}});
    submit("job", job);
    EXPECT_THAT(placed(), ElementsAre("job"));
    ASSERT_THAT(pool.asked, SizeIs(3));
    for (const auto& [id, question] : pool.asked) {
        EXPECT_EQ(question.need.gpus, question.site == "a" ? 2 : 0) << question.site;
        EXPECT_EQ(question.need.cores, question.site == "a" ? 0 : 4) << question.site;
    }
}

TEST_F(J8_Scheduler, WhatCanNeverRunIsGivenUpAtOnce) {
    pool.connect("a", 8);
    auto job = at("a");
    job.parts[0].need.gpus = 16;
    submit("impossible", job);
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_EQ(record("impossible").status, JobStatus::cannot_schedule);
    EXPECT_THAT(record("impossible").reason, HasSubstr("it can never run: it needs 16 GPUs at a, 8 there at all"));
    // A site that has them may still come.
    submit("perhaps", gpus(16));
    (void)placed();
    EXPECT_EQ(record("perhaps").status, JobStatus::submitted);
}

TEST_F(J8_Scheduler, AJobThatWasAbortedMeanwhileKeepsItsStatus) {
    pool.connect("a");
    pool.refusals["a"] = "no";
    options.max_attempts = 1;
    submit("job");
    veto = [&](const JobRecord& job, const JobDefinition&) -> std::optional<Scheduler::Veto> {
        StatusChange abort;
        abort.from = {JobStatus::submitted};
        abort.to = JobStatus::aborted;
        EXPECT_TRUE(store->change_status(job.id, abort));
        return std::nullopt;
    };
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(last.given_up, IsEmpty());
    EXPECT_FALSE(last.trouble);
    EXPECT_EQ(record("job").status, JobStatus::aborted);
}

TEST_F(J8_Scheduler, AJobThatWasDeletedWhileItWasPlacedLeavesNoReservation) {
    pool.connect("a");
    submit("job");
    veto = [&](const JobRecord& job, const JobDefinition&) -> std::optional<Scheduler::Veto> {
        EXPECT_TRUE(store->remove(job.id));
        return std::nullopt;
    };
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(pool.reserved, IsEmpty());
    EXPECT_THAT(scheduler().holders(), IsEmpty());
}

TEST_F(J8_Scheduler, ApprovedJobsWaitAsSubmittedOnesDo) {
    pool.connect("a");
    submit("job");
    StatusChange approve;
    approve.from = {JobStatus::submitted};
    approve.to = JobStatus::approved;
    ASSERT_TRUE(store->change_status(id("job"), approve));
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, ASlotIsHeldUntilItIsReleased) {
    pool.connect("a");
    submit("running");
    EXPECT_THAT(placed(), ElementsAre("running"));
    run("running");
    submit("next");
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_EQ(scheduler().explain(record("next")), "waits for a slot: 1 of 1 is held");
    scheduler().release(id("running"));
    scheduler().release(id("running"));
    scheduler().release("unknown");
    EXPECT_THAT(placed(), ElementsAre("next"));
}

TEST_F(J8_Scheduler, RestoredJobsHoldSlots) {
    options.max_jobs = 2;
    pool.connect("a");
    scheduler().hold("restored-1");
    scheduler().hold("restored-1");
    submit("one");
    submit("two");
    EXPECT_THAT(placed(), ElementsAre("one"));
    scheduler().hold("restored-2");  // more than there are slots
    scheduler().release("restored-1");
    EXPECT_THAT(placed(), IsEmpty());
    scheduler().release("restored-2");
    EXPECT_THAT(placed(), ElementsAre("two"));
}

TEST_F(J8_Scheduler, ALongQueueIsTriedInSeveralPasses) {
    options.tries_per_pass = 10;
    pool.connect("a", 1);
    pool.set_free_gpus("a", 0);
    for (int i = 0; i < 25; ++i) submit("job" + std::to_string(i), gpus(1));
    submit("last", definition());
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_EQ(last.wake_in, milliseconds(0));
    EXPECT_THAT(placed(), IsEmpty());
    EXPECT_THAT(placed(), ElementsAre("last"));
    for (int i = 0; i < 25; ++i) EXPECT_EQ(record("job" + std::to_string(i)).attempt_count, 1) << i;
}

TEST_F(J8_Scheduler, ADefinitionIsReadOncePerJob) {
    pool.connect("a");
    pool.refusals["a"] = "no";
    submit("job");
    for (int i = 0; i < 5; ++i) {
        (void)placed();
        now += minutes(10);
    }
    EXPECT_EQ(definitions_read, 1);
}

TEST_F(J8_Scheduler, ExplainsAtAGlance) {
    pool.connect("site-b", 2);
    submit("job", gpus(2));
    EXPECT_EQ(scheduler().explain(record("job")), "waits for its turn");
    for (const auto wait : {10, 20}) {
        pool.set_free_gpus("site-b", 1);
        (void)placed();
        now += seconds(wait);
    }
    (void)placed();
    EXPECT_EQ(
        scheduler().explain(record("job")),
        "needs 2 GPUs at site-b, 1 free; 0 of at least 1 sites have what it needs, attempt 3 of 10, next in 40 s");
    now += milliseconds(500);
    EXPECT_THAT(scheduler().explain(record("job")), HasSubstr("next in 40 s"));
    now += seconds(39);
    EXPECT_THAT(scheduler().explain(record("job")), HasSubstr("next in 1 s"));
}

TEST_F(J8_Scheduler, AStoreThatFailsIsReportedAndAskedAgain) {
    pool.connect("a");
    submit("job");
    fail_store = true;
    EXPECT_THAT(placed(), IsEmpty());
    ASSERT_TRUE(last.trouble);
    EXPECT_TRUE(last.wake_in);
    fail_store = false;
    EXPECT_THAT(placed(), ElementsAre("job"));
}

TEST_F(J8_Scheduler, OptionsThatMakeNoSenseAreRefused) {
    const auto expect_refused = [this](auto&& change) {
        auto wrong = options;
        change(wrong);
        EXPECT_THROW(Scheduler(wrong, *store, pool, hooks()), ConfigurationError);
    };
    expect_refused([](auto& wrong) { wrong.max_jobs = 0; });
    expect_refused([](auto& wrong) { wrong.max_attempts = 0; });
    expect_refused([](auto& wrong) { wrong.first_backoff = seconds(0); });
    expect_refused([](auto& wrong) { wrong.longest_backoff = seconds(9); });
    expect_refused([](auto& wrong) { wrong.tries_per_pass = 0; });
    EXPECT_THROW(Scheduler(options, *store, pool, {}), ConfigurationError);
}

}  // namespace
}  // namespace rankexec::job::test
