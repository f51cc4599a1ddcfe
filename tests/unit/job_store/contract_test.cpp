// SPDX-License-Identifier: Apache-2.0
// What every JobStore does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "forms.hpp"

namespace rankexec::job {
namespace {

using enum JobStatus;
using std::chrono::milliseconds;
using testing::HasSubstr;
using Kind = StoreError::Kind;

class J10_JobStore : public testing::TestWithParam<Form> {
protected:
    StoreOfOneTest store_{GetParam()};
};
using J1_JobStore = J10_JobStore;

template <typename T>
Kind kind_of(const Stored<T>& stored) {
    if (stored) ADD_FAILURE() << "no error";
    return stored ? Kind::unusable : stored.error().kind;
}

StatusChange change(std::vector<JobStatus> from, JobStatus to, std::string reason = {}) {
    return {std::move(from), to, std::move(reason), {}, {}};
}

TEST_P(J10_JobStore, CreateStampsIdAndTime) {
    store_.pass(milliseconds(5));
    const auto bundle = store_.file("12345");
    const auto record = store_->create({"", "digits", "ana", "t-1", "abc"}, bundle).value();
    EXPECT_THAT(record.id, testing::MatchesRegex("[0-9a-f]{32}"));
    EXPECT_EQ(record.name, "digits");
    EXPECT_EQ(record.submitter, "ana");
    EXPECT_EQ(record.token, "t-1");
    EXPECT_EQ(record.digest, "abc");
    EXPECT_EQ(record.status, submitted);
    EXPECT_EQ(record.version, 0);
    EXPECT_EQ(record.bundle_bytes, 5);
    EXPECT_EQ(record.submitted_at, store_.time());
    EXPECT_EQ(store_->get(record.id).value(), record);
    EXPECT_EQ(content_of(store_->bundle(record.id).value()), "12345");
    EXPECT_EQ(content_of(bundle), "12345") << "the caller's own name for it stays";
    EXPECT_NE(store_.job().id, store_.job().id);
}

TEST_P(J10_JobStore, AnIdIsThereOnce) {
    ASSERT_TRUE(store_->create({"my-id", "first", "", "", ""}, store_.file("1")));
    EXPECT_EQ(kind_of(store_->create({"my-id", "second", "", "", ""}, store_.file("2"))), Kind::exists);
    EXPECT_EQ(store_->get("my-id")->name, "first");
    EXPECT_EQ(content_of(store_->bundle("my-id").value()), "1");
    EXPECT_EQ(store_.files(), 1U);
}

TEST_P(J10_JobStore, TheSameTokenIsTheSameJob) {
    const auto first = store_->create({"", "one", "ana", "t", "a"}, store_.file("1")).value();
    EXPECT_EQ(store_->create({"", "two", "ana", "t", "b"}, store_.file("2")).value(), first);
    ASSERT_TRUE(store_->change_status(first.id, change({submitted}, aborted)));
    EXPECT_EQ(store_->create({"", "two", "ana", "t", "b"}, store_.file("2"))->id, first.id) << "also when it is over";
    EXPECT_NE(store_->create({"", "two", "bob", "t", "b"}, store_.file("2"))->id, first.id) << "of another submitter";
    EXPECT_NE(store_->create({"", "two", "ana", "", "b"}, store_.file("2"))->id,
              store_->create({"", "two", "ana", "", "b"}, store_.file("2"))->id)
        << "no token";
    EXPECT_EQ(store_.files(), 4U);
    EXPECT_EQ(store_->list()->size(), 4U);
}

TEST_P(J10_JobStore, TheSameTokenAtOnceIsOneJob) {
    constexpr int kThreads = 8;
    std::vector<std::string> ids(kThreads);
    {
        std::vector<std::jthread> threads;
        for (auto& id : ids) {
            threads.emplace_back([&] { id = store_->create({"", "j", "ana", "t", ""}, store_.file())->id; });
        }
    }
    EXPECT_THAT(ids, testing::Each(ids.front()));
    EXPECT_EQ(store_->list()->size(), 1U);
    EXPECT_EQ(store_.files(), 1U);
}

TEST_P(J10_JobStore, NamesThatLeadElsewhereAreRefused) {
    const auto file = store_.file();
    for (const auto* name : {"../x", "..", "a/b", "/etc/x", ".", "-x", "a\nb", "a b"}) {
        EXPECT_EQ(kind_of(store_->create({name, "j", "", "", ""}, file)), Kind::refused) << name;
        EXPECT_EQ(kind_of(store_->create({"", name, "", "", ""}, file)), Kind::refused) << name;
        EXPECT_EQ(kind_of(store_->create({"", "j", name, "", ""}, file)), Kind::refused) << name;
        EXPECT_EQ(kind_of(store_->get(name)), Kind::unknown_job) << name;
        EXPECT_EQ(kind_of(store_->bundle(name)), Kind::unknown_job) << name;
        EXPECT_EQ(kind_of(store_->save_snapshot(name, Bytes(1))), Kind::unknown_job) << name;
        EXPECT_EQ(kind_of(store_->save_workspace(name, file)), Kind::unknown_job) << name;
        EXPECT_EQ(kind_of(store_->remove(name)), Kind::unknown_job) << name;
    }
    EXPECT_EQ(kind_of(store_->create({"", "", "", "", ""}, file)), Kind::refused) << "a job has a name";
    EXPECT_EQ(kind_of(store_->create({"", "j", "", std::string(129, 't'), ""}, file)), Kind::refused);
    EXPECT_EQ(kind_of(store_->create({"", "j", "", "a b", ""}, file)), Kind::refused);
    EXPECT_TRUE(store_->list()->empty());
    EXPECT_EQ(store_.files(), 0U);
}

TEST_P(J10_JobStore, ABundleThatCannotBeKeptLeavesNothing) {
    const auto create = [&](const std::filesystem::path& bundle) {
        return store_->create({"", "j", "", "", ""}, bundle);
    };
    const auto refused = create(store_.file(std::string(StoreOfOneTest::kMostBytes + 1, 'x')));
    EXPECT_EQ(kind_of(refused), Kind::refused);
    EXPECT_THAT(refused.error().message, HasSubstr("the limit of 1000 bytes"));
    EXPECT_EQ(kind_of(create(store_.folder.path())), Kind::refused);
    EXPECT_EQ(kind_of(create(store_.folder.path() / "missing")), Kind::unusable);
    EXPECT_TRUE(store_->list()->empty());
    EXPECT_EQ(store_.files(), 0U);
    EXPECT_TRUE(create(store_.file(std::string(StoreOfOneTest::kMostBytes, 'x'))));
}

TEST_P(J10_JobStore, ListsOldestFirstAndByStatus) {
    const auto first = store_.job("first").id;
    store_.pass(milliseconds(-1));  // the clock was set back
    const auto second = store_.job("second").id;
    const auto third = store_.job("third").id;
    ASSERT_TRUE(store_->change_status(second, change({submitted}, aborted)));
    ASSERT_TRUE(store_->change_status(third, change({submitted}, approved)));
    const auto ids = [&](const std::vector<JobStatus>& statuses) {
        const auto list = store_->list(statuses);  // kept: a range over a temporary's value would not be
        std::vector<std::string> found;
        for (const auto& record : list.value()) found.push_back(record.id);
        return found;
    };
    EXPECT_THAT(ids({}), testing::ElementsAre(first, second, third));
    EXPECT_THAT(ids({submitted, approved}), testing::ElementsAre(first, third));
    EXPECT_THAT(ids({aborted, approved}), testing::ElementsAre(second, third));
    EXPECT_THAT(ids({running}), testing::IsEmpty());
}

TEST_P(J1_JobStore, ChangesAreComparedAndSet) {
    const auto id = store_.job().id;
    StatusChange dispatch = change({submitted, approved}, dispatched, "deployed to 2 sites");
    dispatch.deploy_detail = {{"a", true, ""}, {"b", false, "no answer"}};
    dispatch.sites = {"a", "c"};
    const auto record = store_->change_status(id, dispatch).value();
    EXPECT_EQ(record.status, dispatched);
    EXPECT_EQ(record.version, 1);
    EXPECT_EQ(record.reason, "deployed to 2 sites");
    EXPECT_EQ(record.deploy_detail, *dispatch.deploy_detail);
    EXPECT_EQ(record.sites, *dispatch.sites);
    EXPECT_EQ(store_->get(id).value(), record);

    const auto again = store_->change_status(id, dispatch);
    EXPECT_EQ(kind_of(again), Kind::conflict);
    EXPECT_EQ(again.error().status, dispatched);
    EXPECT_THAT(again.error().message, HasSubstr("is dispatched, not submitted or approved,"));
    EXPECT_EQ(store_->get(id).value(), record);

    const auto next = store_->change_status(id, change({dispatched}, running, "")).value();
    EXPECT_EQ(next.deploy_detail, record.deploy_detail) << "kept where the change says nothing";
    EXPECT_EQ(next.sites, record.sites);
    EXPECT_EQ(next.reason, "");
}

TEST_P(J1_JobStore, OnlyWhatTheTableHasIsRecorded) {
    for (int from = 0; from <= static_cast<int>(abandoned); ++from) {
        for (int to = 0; to <= static_cast<int>(abandoned); ++to) {
            const auto record = store_.job_at(static_cast<JobStatus>(from));
            const auto changed = store_->change_status(record.id, change({record.status}, static_cast<JobStatus>(to)));
            EXPECT_EQ(changed.has_value(), may_follow(record.status, static_cast<JobStatus>(to)));
            const auto status = store_->get(record.id)->status;
            EXPECT_EQ(status, changed ? static_cast<JobStatus>(to) : record.status);
            if (!changed) {
                EXPECT_EQ(kind_of(changed), Kind::conflict);
            }
        }
    }
    EXPECT_EQ(kind_of(store_->change_status("none", change({submitted}, aborted))), Kind::unknown_job);
}

TEST_P(J1_JobStore, StartAndDurationAreRecorded) {
    const auto id = store_.job_at(dispatched).id;
    EXPECT_EQ(store_->get(id)->started_at, std::nullopt);
    store_.pass(milliseconds(100));
    const auto started = store_.time();
    ASSERT_TRUE(store_->change_status(id, change({dispatched}, running)));
    EXPECT_EQ(store_->get(id)->started_at, started);
    EXPECT_EQ(store_->get(id)->duration, std::nullopt);
    store_.pass(milliseconds(250));
    ASSERT_TRUE(store_->change_status(id, change({running}, completed)));
    EXPECT_EQ(store_->get(id)->started_at, started);
    EXPECT_EQ(store_->get(id)->duration, milliseconds(250));

    const auto unstarted = store_.job_at(aborted);
    EXPECT_EQ(unstarted.started_at, std::nullopt);
    EXPECT_EQ(unstarted.duration, std::nullopt);

    const auto back = store_.job_at(running).id;
    store_.pass(milliseconds(-1'000));  // the clock was set back
    EXPECT_EQ(store_->change_status(back, change({running}, completed))->duration, milliseconds(0));
}

TEST_P(J1_JobStore, OfChangesAtOnceOneIsMade) {
    constexpr int kRounds = 20;
    for (int round = 0; round < kRounds; ++round) {
        const auto id = store_.job_at(dispatched).id;
        const std::vector<JobStatus> targets{running, aborted, failed_to_run, abnormal};
        std::atomic<int> count = 0;
        {
            std::vector<std::jthread> threads;
            for (const auto target : targets) {
                threads.emplace_back([&, target] {
                    if (store_->change_status(id, change({dispatched}, target))) ++count;
                });
            }
        }
        EXPECT_EQ(count, 1);
        EXPECT_EQ(store_->get(id)->version, 2);
    }
}

TEST_P(J10_JobStore, AttemptsAreCountedAndTheLatestKept) {
    const auto id = store_.job().id;
    constexpr int kMore = 25;
    for (int number = 1; number <= kMore; ++number) {
        store_.pass(milliseconds(1));
        ASSERT_TRUE(store_->add_attempt(id, {store_.time(), "attempt " + std::to_string(number)}));
    }
    const auto record = store_->get(id).value();
    EXPECT_EQ(record.attempt_count, kMore);
    ASSERT_EQ(record.attempts.size(), JobRecord::kMostAttemptsKept);
    EXPECT_EQ(record.attempts.front().outcome, "attempt 6");
    EXPECT_EQ(record.attempts.back(), (ScheduleAttempt{store_.time(), "attempt 25"}));
    EXPECT_EQ(record.reason, "attempt 25");
    EXPECT_EQ(record.status, submitted);
    EXPECT_EQ(record.version, 0);
    EXPECT_EQ(store_->list()->front(), record);
}

TEST_P(J10_JobStore, ReasonsAndIncarnationsOfJobsThatAreNotOver) {
    const auto id = store_.job().id;
    ASSERT_TRUE(store_->set_reason(id, "third in the queue"));
    EXPECT_EQ(store_->get(id)->reason, "third in the queue");
    EXPECT_EQ(store_->next_incarnation(id), 1);
    EXPECT_EQ(store_->next_incarnation(id), 2);
    EXPECT_EQ(store_->get(id)->incarnation, 2);
    ASSERT_TRUE(store_->change_status(id, change({submitted}, aborted, "by ana")));
    const auto late = store_->set_reason(id, "waits");
    EXPECT_EQ(kind_of(late), Kind::conflict);
    EXPECT_EQ(late.error().status, aborted);
    EXPECT_EQ(kind_of(store_->add_attempt(id, {store_.time(), "none"})), Kind::conflict);
    EXPECT_EQ(kind_of(store_->next_incarnation(id)), Kind::conflict);
    EXPECT_EQ(store_->get(id)->reason, "by ana");
    EXPECT_EQ(kind_of(store_->set_reason("none", "")), Kind::unknown_job);
}

TEST_P(J10_JobStore, EventsAreKeptInOrder) {
    const auto id = store_.job().id;
    const auto other = store_.job().id;
    const std::vector<JobEvent> events{{store_.time(), "submitted", ""},
                                       {store_.time(), "started", "at a, b"},
                                       {store_.time() - milliseconds(1), "text", std::string("a\0b\n\xFF", 5)}};
    for (const auto& event : events) ASSERT_TRUE(store_->add_event(id, event));
    EXPECT_EQ(store_->events(id).value(), events);
    EXPECT_TRUE(store_->events(other)->empty());
    EXPECT_EQ(kind_of(store_->events("none")), Kind::unknown_job);
    EXPECT_EQ(kind_of(store_->add_event("none", {})), Kind::unknown_job);
}

TEST_P(J10_JobStore, AFloodOfEventsPushesOutItsOwnKindOnly) {
    const auto id = store_.job().id;
    ASSERT_TRUE(store_->add_event(id, {store_.time(), "started", "at a"}));
    for (std::int64_t number = 1; number <= JobStore::kMostEventsOfAType + 3; ++number) {
        ASSERT_TRUE(store_->add_event(id, {store_.time(), "progress", std::to_string(number)}));
    }
    ASSERT_TRUE(store_->add_event(id, {store_.time(), "completed", ""}));
    const auto events = store_->events(id).value();
    ASSERT_EQ(events.size(), static_cast<std::size_t>(JobStore::kMostEventsOfAType) + 2);
    EXPECT_EQ(events.front().type, "started");
    EXPECT_EQ(events[1].text, "4");
    EXPECT_EQ(events.back().type, "completed");
}

TEST_P(J10_JobStore, LongTextsAreCut) {
    const auto id = store_.job().id;
    const auto most = JobStore::kMostTextBytes;
    std::string text(most + 1, 'x');
    const auto cut = std::string(most - 6, 'x') + " [...]";
    ASSERT_TRUE(store_->set_reason(id, text));
    EXPECT_EQ(store_->get(id)->reason, cut);
    ASSERT_TRUE(store_->add_attempt(id, {store_.time(), text}));
    EXPECT_EQ(store_->get(id)->attempts.back().outcome, cut);
    ASSERT_TRUE(store_->add_event(id, {store_.time(), "t", text}));
    EXPECT_EQ(store_->events(id)->back().text, cut);
    ASSERT_TRUE(store_->change_status(id, {{submitted}, aborted, text, {{{"a", false, text}}}, {}}));
    EXPECT_EQ(store_->get(id)->reason, cut);
    EXPECT_EQ(store_->get(id)->deploy_detail.front().detail, cut);
    const auto other = store_.job().id;
    text.replace(most - 7, 2, "\xC3\xA4");
    ASSERT_TRUE(store_->set_reason(other, text));
    EXPECT_EQ(store_->get(other)->reason, std::string(most - 7, 'x') + " [...]") << "not within a character";
    ASSERT_TRUE(store_->set_reason(other, std::string(most, 'y')));
    EXPECT_EQ(store_->get(other)->reason, std::string(most, 'y'));
}

TEST_P(J10_JobStore, TheNewestSnapshotIsKeptUntilTheJobIsOver) {
    const auto id = store_.job_at(running).id;
    EXPECT_EQ(store_->snapshot(id).value(), std::nullopt);
    ASSERT_TRUE(store_->save_snapshot(id, Bytes(3, std::byte{1})));
    ASSERT_TRUE(store_->save_snapshot(id, Bytes(5'000, std::byte{2})));
    EXPECT_EQ(store_->snapshot(id).value(), Bytes(5'000, std::byte{2}));
    ASSERT_TRUE(store_->save_snapshot(id, Bytes()));
    EXPECT_EQ(store_->snapshot(id).value(), Bytes());
    EXPECT_EQ(store_.files(), 2U);
    ASSERT_TRUE(store_->change_status(id, change({running}, completed)));
    EXPECT_EQ(store_->snapshot(id).value(), std::nullopt);
    EXPECT_EQ(kind_of(store_->save_snapshot(id, Bytes(3))), Kind::conflict);
    EXPECT_EQ(store_.files(), 1U);
}

TEST_P(J10_JobStore, WorkspacesAreKept) {
    const auto id = store_.job().id;
    EXPECT_EQ(kind_of(store_->workspace(id)), Kind::refused);
    // No limit: it is the job's own result.
    ASSERT_TRUE(store_->save_workspace(id, store_.file(std::string(StoreOfOneTest::kMostBytes + 1, 'w'))));
    ASSERT_TRUE(store_->save_workspace(id, store_.file("results")));
    EXPECT_EQ(content_of(store_->workspace(id).value()), "results");
    EXPECT_EQ(content_of(store_->bundle(id).value()), "a bundle");
    ASSERT_TRUE(store_->change_status(id, change({submitted}, aborted)));
    EXPECT_EQ(content_of(store_->workspace(id).value()), "results");
}

TEST_P(J10_JobStore, RemovingTakesTheFilesToo) {
    for (const auto status : {submitted, aborted, completed, cannot_schedule}) {
        const auto id = store_.job_at(status).id;
        ASSERT_TRUE(store_->save_workspace(id, store_.file("results")));
        if (status == submitted) {
            ASSERT_TRUE(store_->save_snapshot(id, Bytes(1)));
        }
        ASSERT_TRUE(store_->add_event(id, {store_.time(), "x", ""}));
        ASSERT_TRUE(store_->remove(id)) << to_string(status);
        EXPECT_EQ(kind_of(store_->get(id)), Kind::unknown_job);
        EXPECT_EQ(kind_of(store_->remove(id)), Kind::unknown_job);
        EXPECT_EQ(store_.files(), 0U);
    }
    EXPECT_TRUE(store_->list()->empty());
}

TEST_P(J10_JobStore, AnActiveJobIsNotRemoved) {
    for (const auto status : {dispatched, running}) {
        const auto id = store_.job_at(status).id;
        const auto refused = store_->remove(id);
        EXPECT_EQ(kind_of(refused), Kind::refused);
        EXPECT_EQ(refused.error().status, status);
        EXPECT_THAT(refused.error().message, HasSubstr("abort it"));
        EXPECT_TRUE(store_->get(id));
        EXPECT_TRUE(store_->bundle(id));
    }
}

TEST_P(J10_JobStore, ATokenIsFreeAgainOnceItsJobIsRemoved) {
    const auto first = store_->create({"", "j", "ana", "t", ""}, store_.file()).value();
    ASSERT_TRUE(store_->remove(first.id));
    EXPECT_NE(store_->create({"", "j", "ana", "t", ""}, store_.file())->id, first.id);
}

INSTANTIATE_TEST_SUITE_P(, J10_JobStore, testing::Values(Form::memory, Form::sqlite), form_name);
INSTANTIATE_TEST_SUITE_P(, J1_JobStore, testing::Values(Form::memory, Form::sqlite), form_name);

}  // namespace
}  // namespace rankexec::job
