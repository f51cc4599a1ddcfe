// SPDX-License-Identifier: Apache-2.0
// J2 to J7: a job's way through the runner, over sites and parts that do what the test says.
#include "rankexec/core/job/controller/job_runner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fakes.hpp"
#include "full_store.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/store/memory_store.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

using test::FakeBackend;
using test::FakeSites;
using test::FullStore;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;

constexpr std::chrono::seconds kLong{20};

/// What the controller's engine sees of jobs, in order.
class Recorder final : public Component {
public:
    void handle_event(const std::string& type, Context& context) override {
        const auto job = context.text_or("job_id", "");
        {
            const std::lock_guard lock(mutex_);
            events_.emplace_back(job, type);
            changed_.notify_all();
        }
        // Without the lock: what it does may fire further events.
        if (on_event_) on_event_(type, context);
    }
    void wait_for(const std::string& job, const std::string& type) {
        std::unique_lock lock(mutex_);
        EXPECT_TRUE(changed_.wait_for(lock, kLong, [&] {
            return std::ranges::find(events_, std::pair(job, type)) != events_.end();
        })) << type;
    }
    [[nodiscard]] std::vector<std::string> of(const std::string& job) {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> types;
        for (const auto& [whose, type] : events_) {
            if (whose == job && type != "before_check_resources") types.push_back(type);
        }
        return types;
    }
    void on_event(std::function<void(const std::string&, Context&)> callback) { on_event_ = std::move(callback); }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::pair<std::string, std::string>> events_;
    std::function<void(const std::string&, Context&)> on_event_;
};

class RunnerTest : public ::testing::Test {
protected:
    RunnerTest() {
        StoreOptions store_options;
        store_options.directory = folder.path() / "store";
        store = std::make_unique<FullStore>(make_memory_store(store_options));
        recorder = &dynamic_cast<Recorder&>(engine.add("recorder", std::make_unique<Recorder>()));
        for (const auto* site : {"a", "b", "c"}) sites.connect(site);
        definition.name = "job";
        definition.min_sites = 2;
        definition.parts = {{"site", {std::string(kAllSites)}, {}}};
        options.run.folder = folder.path() / "runs";
        options.run.abort_timeout = std::chrono::milliseconds(200);
        options.run.store_pause = std::chrono::milliseconds(5);
        options.run.site_return_timeout = std::chrono::milliseconds(300);
        std::filesystem::create_directories(options.run.folder);
        parts.on_end([this](const std::string& job, const RunEnd& end) {
            if (runner) runner->on_controller_part_end(job, end);
        });
    }
    ~RunnerTest() override { runner.reset(); }

    void begin() {
        JobRunPorts ports{*store, sites, parts, engine, {}, {}, {}, {}, {}, {}, {}, {"true"}};
        ports.unpack = [this](const std::string&,
                              const std::filesystem::path& into) -> tl::expected<void, std::string> {
            if (!bundle_refusal.empty()) return tl::unexpected(bundle_refusal);
            std::filesystem::create_directories(into);
            std::ofstream(into / "job.toml") << "name";
            return {};
        };
        ports.archive = [this](const std::filesystem::path&,
                               const std::filesystem::path& archive) -> tl::expected<void, std::string> {
            std::ofstream(archive) << "archive";
            const auto all = store->list();
            for (const auto& one : *all) status_at_archive = one.status;
            return {};
        };
        ports.admit = [this](PartSetup& setup) { heard.add("admit " + setup.participant); };
        ports.dismiss = [this](const std::string&) { heard.add("dismiss"); };
        ports.tell_to_end = [this](const std::string& job, const std::string& participant, const std::string&) {
            heard.add("end " + participant);
            if (participant != kControllerParticipant) return true;
            if (!obeys) return false;
            if (deaf) return true;
            parts.end(job, {RunEnd::Kind::failure, ExitStatus{false, 102}, "aborted"});
            return true;
        };
        ports.tell_site_lost = [this](const std::string&, const std::string& site, const std::string&, bool) {
            heard.add("lost " + site);
        };
        runner = std::make_unique<JobRunner>(options, std::move(ports), [this](const JobRecord& job) {
            if (job.name == "broken") {
                throw ConfigurationError(ConfigurationError::Kind::job_file, "job.toml:1: broken");
            }
            return definition;
        });
        runner->start();
    }
    std::string submit(const std::string& name = "job") {
        const auto bundle = folder.path() / "bundle";
        std::ofstream(bundle) << "bundle";
        const auto job = store->create({{}, name, "me", {}, std::string(64, 'a')}, bundle);
        EXPECT_TRUE(job) << job.error().message;
        if (runner) runner->wake();
        return job->id;
    }
    void abort_in_the_store(const std::string& job) {
        StatusChange change;
        change.from = {JobStatus::submitted, JobStatus::dispatched};
        change.to = JobStatus::aborted;
        change.reason = "enough";
        EXPECT_TRUE(store->change_status(job, change));
    }
    [[nodiscard]] JobRecord record(const std::string& job) const { return store->get(job).value(); }
    /// Until all that the runner does for the job is done.
    JobRecord ended(const std::string& job) {
        const auto deadline = std::chrono::steady_clock::now() + kLong;
        recorder->wait_for(job, job_event::kCompleted);
        while (!runner->running().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        EXPECT_FALSE(std::filesystem::exists(options.run.folder / job)) << "its workspace is still there";
        return record(job);
    }
    JobRecord failed_to_run(const std::string& job) {
        recorder->wait_for(job, job_event::kAborted);
        while (!runner->running().empty()) std::this_thread::yield();
        EXPECT_FALSE(std::filesystem::exists(options.run.folder / job)) << "its workspace is still there";
        return record(job);
    }
    /// The store, that is full, after `before` refusals.
    void until_asked_again(int before) const {
        const auto deadline = std::chrono::steady_clock::now() + kLong;
        while (store->refusals < before + 20 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    }
    void complete(const std::string& job) { parts.end(job, {RunEnd::Kind::success, ExitStatus{}, {}}); }

    cli::TemporaryFolder folder;
    std::unique_ptr<FullStore> store;
    Engine engine;
    Recorder* recorder = nullptr;
    FakeSites sites;
    FakeBackend parts;
    test::Heard heard;
    JobDefinition definition;
    JobRunnerOptions options;
    std::string bundle_refusal;
    std::atomic<bool> obeys = true;  ///< false: the controller part cannot be told to end
    std::atomic<bool> deaf = false;  ///< it is told, and does not end
    std::atomic<JobStatus> status_at_archive = JobStatus::submitted;
    std::unique_ptr<JobRunner> runner;
};

using J2_Runner = RunnerTest;

TEST_F(J2_Runner, AJobGoesFromSubmittedToCompleted) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_EQ(record(job).status, JobStatus::running);
    EXPECT_TRUE(record(job).started_at);
    complete(job);
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::completed) << done.reason;
    EXPECT_THAT(done.sites, ElementsAre("a", "b", "c"));
    EXPECT_TRUE(done.duration);
    EXPECT_EQ(done.attempt_count, 1);
    ASSERT_EQ(done.attempts.size(), 1U);
    EXPECT_THAT(done.attempts.front().outcome, HasSubstr("a, b, c"));
    EXPECT_EQ(done.deploy_detail.size(), 4U);
    EXPECT_THAT(recorder->of(job), ElementsAre(job_event::kDeployToServer, job_event::kDeployToClient,
                                               job_event::kDeployed, job_event::kStarted, job_event::kCompleted));
    EXPECT_EQ(sites.reserved(), 0) << "what was reserved is free again";
}

TEST_F(J2_Runner, WaitsForASiteToBeThere) {
    definition.min_sites = 4;
    // It is the site that wakes the runner, not the time.
    options.schedule.first_backoff = options.schedule.longest_backoff;
    begin();
    const auto job = submit();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(record(job).status, JobStatus::submitted);
    sites.connect("d");
    runner->on_site_connected("d");
    recorder->wait_for(job, job_event::kStarted);
    complete(job);
    (void)ended(job);
}

TEST_F(J2_Runner, AnAbortWhileItIsDeployedIsNotOverwritten) {
    begin();
    std::string job;
    std::atomic<bool> once = false;
    sites.on_request([&](const std::string& request) {
        if (request.starts_with("deploy") && !once.exchange(true)) {
            for (const auto& id : runner->running()) EXPECT_TRUE(runner->abort(id, "enough"));
        }
    });
    job = submit();
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::aborted);
    EXPECT_EQ(done.reason, "enough");
    EXPECT_TRUE(parts.starts().empty());
    EXPECT_THAT(sites.requests(), Not(Contains(HasSubstr("start"))));
    EXPECT_THAT(sites.requests(), Contains("forget a"));
}

TEST_F(J2_Runner, AnAbortWhileItIsStartedIsNotOverwritten) {
    begin();
    std::atomic<bool> once = false;
    sites.on_request([&](const std::string& request) {
        if (request.starts_with("start") && !once.exchange(true)) {
            for (const auto& id : runner->running()) EXPECT_TRUE(runner->abort(id, "enough"));
        }
    });
    const auto job = submit();
    EXPECT_EQ(ended(job).status, JobStatus::aborted);
    EXPECT_THAT(recorder->of(job), Not(Contains(job_event::kStarted)));
    EXPECT_THAT(sites.requests(), IsSupersetOf({"abort a", "forget a", "forget b", "forget c"}));
}

TEST_F(J2_Runner, WhatTheStoreSaysOfAnAbortIsEnough) {
    // Whoever aborts tells the store first: the run may come to its next step before it is told, too.
    for (const auto* step : {"deploy c", "start c"}) {
        sites.on_request([&](const std::string& request) {
            if (request == step) abort_in_the_store(runner->running().front());
        });
        begin();
        const auto job = submit();
        EXPECT_EQ(ended(job).status, JobStatus::aborted) << step;
        EXPECT_EQ(record(job).reason, "enough");
        EXPECT_THAT(recorder->of(job), Not(Contains(job_event::kStarted)));
        EXPECT_EQ(parts.starts().size(), step == std::string("deploy c") ? 0U : 1U);
        EXPECT_FALSE(parts.runs(job));
        runner.reset();
    }
}

TEST_F(J2_Runner, AFailureInOneJobDoesNotStopTheNext) {
    begin();
    const auto broken = submit("broken");
    const auto good = submit();
    recorder->wait_for(good, job_event::kStarted);
    complete(good);
    EXPECT_EQ(ended(good).status, JobStatus::completed);
    EXPECT_EQ(record(broken).status, JobStatus::cannot_schedule);
    EXPECT_THAT(record(broken).reason, HasSubstr("job.toml:1: broken"));
}

TEST_F(J2_Runner, AsManyJobsRunAsThereAreSlots) {
    options.schedule.max_jobs = 3;
    begin();
    std::vector<std::string> jobs;
    for (int count = 0; count < 5; ++count) jobs.push_back(submit());
    for (int count = 0; count < 3; ++count) recorder->wait_for(jobs[count], job_event::kStarted);
    EXPECT_EQ(runner->running().size(), 3U);
    for (const auto& job : jobs) {
        recorder->wait_for(job, job_event::kStarted);
        complete(job);
    }
    for (const auto& job : jobs) EXPECT_EQ(ended(job).status, JobStatus::completed);
}

TEST_F(J2_Runner, AComponentMayVeto) {
    recorder->on_event([](const std::string& type, Context& context) {
        if (type == "before_check_resources") context.set("job_veto", "not on Sundays");
    });
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kAborted);
    EXPECT_EQ(record(job).status, JobStatus::cannot_schedule);
    EXPECT_THAT(record(job).reason, HasSubstr("not on Sundays"));
}

TEST_F(J2_Runner, AJobThatWasAbortedSinceItWasChosenIsNotDeployed) {
    const auto broken = submit("broken");
    const auto good = submit();
    // The broken job is given up in the pass that chooses the good one, and this is told before the good one is run.
    recorder->on_event([&](const std::string& type, Context& context) {
        if (type != job_event::kAborted || context.text_or("job_id", "") != broken) return;
        abort_in_the_store(good);
    });
    begin();
    EXPECT_EQ(ended(good).status, JobStatus::aborted);
    EXPECT_EQ(record(good).reason, "enough");
    EXPECT_THAT(recorder->of(good), ElementsAre(job_event::kCompleted)) << "it was on its way to a site";
    EXPECT_THAT(sites.requests(), Not(Contains(HasSubstr("deploy"))));
    EXPECT_EQ(sites.reserved(), 0);
}

TEST_F(J2_Runner, AnAbortBetweenDeployAndStartStartsNothing) {
    recorder->on_event([&](const std::string& type, Context& context) {
        if (type != job_event::kDeployed) return;
        EXPECT_TRUE(runner->abort(context.text_or("job_id", ""), "enough"));
    });
    begin();
    const auto done = ended(submit());
    EXPECT_EQ(done.status, JobStatus::aborted);
    EXPECT_TRUE(parts.starts().empty());
    EXPECT_THAT(sites.requests(), Not(Contains(HasSubstr("start"))));
    EXPECT_EQ(sites.reserved(), 0);
}

using J3_Deploy = RunnerTest;

TEST_F(J3_Deploy, ToTheControllerFirstAndItsFailureIsFatal) {
    bundle_refusal = "it holds ../etc";
    begin();
    const auto job = submit();
    const auto done = failed_to_run(job);
    EXPECT_EQ(done.status, JobStatus::failed_to_run);
    EXPECT_THAT(done.reason, HasSubstr("../etc"));
    ASSERT_EQ(done.deploy_detail.size(), 1U);
    EXPECT_FALSE(done.deploy_detail.front().ok);
    EXPECT_THAT(sites.requests(), Not(Contains(HasSubstr("deploy"))));
    EXPECT_EQ(sites.reserved(), 0);
}

TEST_F(J3_Deploy, SitesThatFailAreLeftOut) {
    sites.answer("deploy", "b", "disk full");
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_THAT(record(job).sites, ElementsAre("a", "c"));
    EXPECT_THAT(sites.requests(), Not(Contains("start b")));
    const auto detail = record(job).deploy_detail;
    EXPECT_THAT(detail, Contains(DeployOutcome{"b", false, "disk full"}));
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
    EXPECT_THAT(sites.requests(), Contains("forget b")) << "nothing is left there";
}

TEST_F(J3_Deploy, FewerThanNeededFailTheJob) {
    sites.answer("deploy", "b", "disk full");
    sites.answer("deploy", "c", "no answer");
    begin();
    const auto done = failed_to_run(submit());
    EXPECT_EQ(done.status, JobStatus::failed_to_run);
    EXPECT_THAT(done.reason, HasSubstr("disk full"));
    EXPECT_THAT(done.reason, HasSubstr("needs 2"));
    EXPECT_EQ(done.deploy_detail.size(), 4U) << "the detail is kept";
    EXPECT_TRUE(parts.starts().empty());
}

TEST_F(J3_Deploy, ARequiredSiteThatFailsFailsTheJob) {
    definition.required_sites = {"b"};
    sites.answer("deploy", "b", "disk full");
    begin();
    const auto done = failed_to_run(submit());
    EXPECT_EQ(done.status, JobStatus::failed_to_run);
    EXPECT_THAT(done.reason, HasSubstr("required site b"));
}

TEST_F(J3_Deploy, SitesAreToldWhichReservationItIs) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    for (const auto* site : {"a", "b", "c"}) {
        EXPECT_EQ(sites.token(std::string("deploy ") + site), std::string("token of ") + site) << "it is not renewed";
        EXPECT_EQ(sites.token(std::string("start ") + site), std::string("token of ") + site);
    }
    complete(job);
    (void)ended(job);
}

TEST_F(J3_Deploy, NoAnswerIsAFailure) {
    sites.stays_silent("deploy", "c");
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_THAT(record(job).sites, ElementsAre("a", "b"));
    EXPECT_THAT(record(job).deploy_detail, Contains(DeployOutcome{"c", false, "no answer"}));
    complete(job);
    (void)ended(job);
}

using J4_Start = RunnerTest;

TEST_F(J4_Start, TheControllerPartFirst) {
    begin();
    std::atomic<int> started_before = -1;
    sites.on_request([&](const std::string& request) {
        if (request == "start a") started_before = static_cast<int>(parts.starts().size());
    });
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_EQ(started_before, 1);
    complete(job);
    (void)ended(job);
}

TEST_F(J4_Start, ARequiredSiteThatDoesNotStartFailsTheJob) {
    definition.required_sites = {"c"};
    sites.answer("start", "c", "no such program");
    begin();
    const auto done = failed_to_run(submit());
    EXPECT_EQ(done.status, JobStatus::failed_to_run);
    EXPECT_THAT(done.reason, HasSubstr("no such program"));
    EXPECT_THAT(sites.requests(), IsSupersetOf({"abort a", "abort b", "forget c"})) << "what was started is stopped";
    EXPECT_FALSE(parts.runs(done.id));
}

TEST_F(J4_Start, OthersAreLeftOutAndListed) {
    sites.answer("start", "c", "no such program");
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_THAT(record(job).sites, ElementsAre("a", "b"));
    const auto events = store->events(job);
    EXPECT_TRUE(std::ranges::any_of(*events, [](const JobEvent& event) {
        return event.type == job_event::kSiteLeftOut && event.text == "c: not started: no such program";
    }));
    complete(job);
    (void)ended(job);
}

TEST_F(J4_Start, AControllerPartThatDoesNotStartFailsTheJob) {
    parts.refuse("no more processes");
    begin();
    const auto done = failed_to_run(submit());
    EXPECT_EQ(done.status, JobStatus::failed_to_run);
    EXPECT_THAT(done.reason, HasSubstr("no more processes"));
    EXPECT_THAT(sites.requests(), Contains("forget a"));
}

TEST_F(J4_Start, NoAnswerIsAFailure) {
    sites.stays_silent("start", "c");
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_THAT(record(job).sites, ElementsAre("a", "b"));
    complete(job);
    (void)ended(job);
}

TEST_F(J4_Start, TheControllerPartIsToldWhoIsLeftOut) {
    sites.answer("start", "c", "no such program");
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_THAT(heard.lines(), Contains("lost c")) << "it would wait for it";
    complete(job);
    (void)ended(job);
}

TEST_F(J4_Start, WhoIsLeftOutIsMissedOnlyOnce) {
    sites.connect("d");
    sites.answer("start", "c", "no such program");
    // A site whose part cannot be started says so twice: that it has ended, and as its answer.
    sites.on_request([&](const std::string& request) {
        if (request != "start c") return;
        for (const auto& job : runner->running()) runner->on_site_part_end("c", job, "backend_failed", "no program");
    });
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_part_end("c", job, "killed", "it says so again");
    runner->on_site_lost("c");
    // With a and b there are still as many as the job needs.
    runner->on_site_lost("d");
    EXPECT_TRUE(heard.wait_for("lost d", kLong));
    complete(job);
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::completed) << done.reason;
}

class J5_End : public RunnerTest {
protected:
    JobRecord after(const RunEnd& end, const std::string& report = {}) {
        begin();
        const auto job = submit();
        recorder->wait_for(job, job_event::kStarted);
        if (!report.empty()) runner->on_report(job, report);
        parts.end(job, end);
        return ended(job);
    }
};

TEST_F(J5_End, WithoutAFailureIsCompleted) {
    EXPECT_EQ(after({RunEnd::Kind::success, ExitStatus{}, {}}).status, JobStatus::completed);
    EXPECT_EQ(status_at_archive, JobStatus::running) << "archived before the final status is there";
}

TEST_F(J5_End, AReportedFailureIsAnExecutionException) {
    const auto done = after({RunEnd::Kind::failure, ExitStatus{false, 101}, "exit code 101"}, "round 3: no answer");
    EXPECT_EQ(done.status, JobStatus::execution_exception);
    EXPECT_EQ(done.reason, "round 3: no answer");
    EXPECT_THAT(sites.requests(), IsSupersetOf({"abort a", "abort b", "abort c"}));
}

TEST_F(J5_End, AKillWithoutAReportIsAbnormal) {
    const auto done = after({RunEnd::Kind::killed, ExitStatus{true, 9}, "signal 9 (SIGKILL)"});
    EXPECT_EQ(done.status, JobStatus::abnormal);
    EXPECT_THAT(done.reason, HasSubstr("SIGKILL"));
}

TEST_F(J5_End, AnExitCodeWithoutAReportIsAnExecutionException) {
    EXPECT_EQ(after({RunEnd::Kind::failure, ExitStatus{false, 7}, "exit code 7"}).status,
              JobStatus::execution_exception);
}

TEST_F(J5_End, TooFewSitesLeftEndTheJob) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_part_end("a", job, "failure", "exit code 1");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(record(job).status, JobStatus::running) << "two are enough";
    runner->on_site_part_end("b", job, "killed", "signal 9");
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::execution_exception);
    EXPECT_THAT(done.reason, HasSubstr("exit code 1"));
    EXPECT_FALSE(parts.runs(job));
}

TEST_F(J5_End, ASiteThatIsAwayForTooLongCountsAsLost) {
    definition.required_sites = {"c"};
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_lost("b");
    runner->on_site_connected("b");
    runner->on_site_lost("c");
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::abnormal);
    EXPECT_THAT(done.reason, HasSubstr("required site c"));
}

TEST_F(J5_End, SitesThatAreDoneAreNotMissed) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_part_end("a", job, "success", "");
    runner->on_site_part_end("b", job, "success", "");
    runner->on_site_lost("c");
    EXPECT_TRUE(heard.wait_for("lost c", kLong));
    complete(job);
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::completed) << done.reason;
}

TEST_F(J5_End, ASiteThatIsBackIsNotGivenUp) {
    definition.min_sites = 1;
    options.run.site_return_timeout = std::chrono::seconds(1);  // not over between the next two calls
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_lost("b");
    runner->on_site_connected("b");
    // Its time would be over when that of the next is.
    runner->on_site_lost("c");
    EXPECT_TRUE(heard.wait_for("lost c", kLong));
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
    EXPECT_THAT(heard.lines(), Not(Contains("lost b")));
}

TEST_F(J5_End, SitesThatHaveNoPartOfTheJobAreNotMissed) {
    definition.parts = {{"site", {"a", "b"}, {}}};
    definition.min_sites = 1;
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_lost("c");
    runner->on_site_part_end("stranger", job, "failure", "exit code 1");
    runner->on_site_lost("b");
    EXPECT_TRUE(heard.wait_for("lost b", kLong));
    complete(job);
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::completed) << done.reason;
    EXPECT_THAT(heard.lines(), Not(Contains("lost c")));
}

TEST_F(J5_End, IsRecordedWhenTheDiskIsNoLongerFull) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    store->full = true;
    const int before = store->refusals;
    complete(job);
    until_asked_again(before);
    EXPECT_THAT(runner->running(), ElementsAre(job)) << "it has no end that anybody knows of";
    store->full = false;
    EXPECT_EQ(ended(job).status, JobStatus::completed);
    EXPECT_TRUE(store->workspace(job)) << "its results are kept";
}

TEST_F(J5_End, AControllerThatEndsWhileTheDiskIsFullLeavesItToTheNext) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    const int before = store->refusals;
    store->full = true;
    complete(job);
    until_asked_again(before);
    runner->stop();
    store->full = false;
    begin();
    EXPECT_EQ(ended(job).status, JobStatus::completed);
    EXPECT_TRUE(store->workspace(job));
    EXPECT_EQ(parts.starts().size(), 1U) << "it is not run again";
}

TEST_F(J5_End, AKillAfterAReportIsAnExecutionException) {
    const auto done = after({RunEnd::Kind::killed, ExitStatus{true, 9}, "signal 9 (SIGKILL)"}, "round 3: no answer");
    EXPECT_EQ(done.status, JobStatus::execution_exception);
    EXPECT_EQ(done.reason, "round 3: no answer");
}

TEST_F(J5_End, ALossOfTheBackendIsAbnormal) {
    EXPECT_EQ(after({RunEnd::Kind::backend_failed, {}, "Slurm has forgotten it"}).status, JobStatus::abnormal);
}

TEST_F(J5_End, JobCompletedComesWhenAllIsCleanedUp) {
    std::atomic<bool> cleaned = false;
    recorder->on_event([&](const std::string& type, Context& context) {
        if (type != job_event::kCompleted) return;
        const auto job = context.text_or("job_id", "");
        cleaned = !std::filesystem::exists(options.run.folder / job) && is_final(record(job).status) &&
                  store->workspace(job).has_value();
    });
    (void)after({RunEnd::Kind::success, ExitStatus{}, {}});
    EXPECT_TRUE(cleaned);
    EXPECT_THAT(heard.lines(), Contains("dismiss")) << "the keys of its parts are good for nothing any more";
}

using J6_Stop = RunnerTest;

TEST_F(J6_Stop, AJobThatWaitsIsAbortedAtOnce) {
    definition.min_sites = 9;
    begin();
    const auto job = submit();
    const auto aborted = runner->abort(job, "changed my mind");
    ASSERT_TRUE(aborted);
    EXPECT_EQ(aborted->status, JobStatus::aborted);
    EXPECT_TRUE(parts.starts().empty());
}

TEST_F(J6_Stop, SitesFirstThenTheControllerPartInBand) {
    std::atomic<bool> sites_first = false;
    sites.on_request([&](const std::string& request) {
        if (request == "abort c") sites_first = !parts.starts().empty() && parts.runs(parts.starts().front());
    });
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_TRUE(runner->abort(job, "enough"));
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::aborted);
    EXPECT_EQ(done.reason, "enough");
    EXPECT_TRUE(sites_first);
    EXPECT_THAT(heard.lines(), IsSupersetOf({"end a", "end b", "end c", "end controller"}));
    EXPECT_TRUE(parts.stops().empty()) << "no force was needed";
    EXPECT_TRUE(store->workspace(job)) << "an aborted job's workspace is archived too";
    EXPECT_THAT(recorder->of(job), IsSupersetOf({job_event::kAborted, job_event::kCompleted}));
}

TEST_F(J6_Stop, ByForceWhenItDoesNotObey) {
    obeys = false;
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_TRUE(runner->abort(job, "enough"));
    EXPECT_EQ(ended(job).status, JobStatus::aborted);
    EXPECT_THAT(parts.stops(), ElementsAre(job));
}

TEST_F(J6_Stop, InBandIsBoundedToo) {
    deaf = true;
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_TRUE(runner->abort(job, "enough"));
    EXPECT_EQ(ended(job).status, JobStatus::aborted);
    EXPECT_THAT(parts.stops(), ElementsAre(job));
}

TEST_F(J6_Stop, PartsThatHaveEndedAreNotAborted) {
    definition.min_sites = 1;
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    runner->on_site_part_end("b", job, "success", "");
    EXPECT_TRUE(runner->abort(job, "enough"));
    (void)ended(job);
    EXPECT_THAT(sites.requests(), IsSupersetOf({"abort a", "abort c"}));
    EXPECT_THAT(sites.requests(), Not(Contains("abort b")));
}

TEST_F(J6_Stop, AFinishedJobSaysSo) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    complete(job);
    (void)ended(job);
    const auto again = runner->abort(job, "too late");
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().status, JobStatus::completed);
    EXPECT_EQ(record(job).status, JobStatus::completed);
}

TEST_F(J6_Stop, AnActiveJobIsNotDeleted) {
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_FALSE(runner->remove(job));
    complete(job);
    (void)ended(job);
    EXPECT_TRUE(runner->remove(job));
    EXPECT_FALSE(store->get(job));
}

TEST_F(J6_Stop, AJobThatIsBeingCleanedUpIsNotDeleted) {
    std::atomic<bool> removed = true;
    sites.on_request([&](const std::string& request) {
        if (request != "forget a") return;
        for (const auto& job : runner->running()) {
            EXPECT_TRUE(is_final(record(job).status));
            removed = runner->remove(job).has_value();
        }
    });
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kStarted);
    complete(job);
    (void)ended(job);
    EXPECT_FALSE(removed);
    EXPECT_TRUE(runner->remove(job));
}

class J7_Restart : public RunnerTest {
protected:
    /// A job whose controller was ended after the sites had got it, and before it was recorded as running.
    std::string left_dispatched(const std::vector<std::string>& at = {"a", "b", "c"}) {
        const auto job = submit();
        StatusChange change;
        change.from = {JobStatus::submitted};
        change.to = JobStatus::dispatched;
        change.sites = at;
        EXPECT_TRUE(store->change_status(job, change));
        return job;
    }
    /// A job that was running when its controller was ended.
    std::string left_behind() {
        begin();
        const auto job = submit();
        recorder->wait_for(job, job_event::kStarted);
        runner->stop();
        runner.reset();
        EXPECT_EQ(record(job).status, JobStatus::running);
        return job;
    }
};

TEST_F(J7_Restart, WhatTheEndOfTheControllerKeepsFromBeingDeployedIsDeployedByTheNext) {
    for (const auto* site : {"a", "b", "c"}) sites.answer("deploy", site, "this end of the hub was closed");
    sites.on_request([this](const std::string& request) {
        if (request == "deploy a") runner->let_go();
    });
    begin();
    const auto job = submit();
    recorder->wait_for(job, job_event::kSiteLeftOut);
    runner->stop();
    EXPECT_EQ(record(job).status, JobStatus::submitted) << record(job).reason;
    for (const auto* site : {"a", "b", "c"}) sites.answer("deploy", site, "");
    sites.on_request({});
    begin();
    recorder->wait_for(job, job_event::kStarted);
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
}

TEST_F(J7_Restart, PartsThatLiveAreTakenOver) {
    const auto job = left_behind();
    for (const auto* site : {"a", "b", "c"}) sites.has(site, PartState::Stage::running);
    begin();
    parts.wait_until_started(job);
    recorder->wait_for(job, job_event::kRestored);
    for (const auto* line : {"admit a", "admit b", "admit c"}) {
        EXPECT_EQ(std::ranges::count(heard.lines(), line), 2) << "the new controller does not know its key";
    }
    EXPECT_EQ(record(job).incarnation, 2);
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
    EXPECT_EQ(std::ranges::count(sites.requests(), "start a"), 1) << "none is started twice";
}

TEST_F(J7_Restart, PartsThatWereNeverStartedAreStarted) {
    const auto job = left_dispatched();
    sites.has("a", PartState::Stage::running);
    sites.has("b", PartState::Stage::deployed);
    begin();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_EQ(record(job).status, JobStatus::running);
    EXPECT_THAT(record(job).sites, ElementsAre("a", "b", "c"));
    EXPECT_THAT(sites.requests(), IsSupersetOf({"start b", "start c"}));
    EXPECT_THAT(sites.requests(), Not(Contains("start a"))) << "none is started twice";
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
}

TEST_F(J7_Restart, OfThoseTooOthersAreLeftOutAndRequiredOnesAreNot) {
    sites.answer("reserve", "a", "just taken");
    sites.stays_silent("deploy", "b");
    sites.stays_silent("start", "c");
    definition.min_sites = 1;
    sites.connect("d");
    const auto job = left_dispatched({"a", "b", "c", "d"});
    begin();
    recorder->wait_for(job, job_event::kStarted);
    EXPECT_THAT(record(job).sites, ElementsAre("d"));
    EXPECT_THAT(heard.lines(), IsSupersetOf({"lost a", "lost b", "lost c"}));
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
    runner.reset();
    definition.required_sites = {"c"};
    const auto second = left_dispatched({"c", "d"});
    begin();
    EXPECT_EQ(failed_to_run(second).status, JobStatus::failed_to_run);
}

TEST_F(J7_Restart, TheDeployDetailIsKept) {
    sites.answer("deploy", "c", "disk full");
    const auto job = left_behind();
    const auto detail = record(job).deploy_detail;
    EXPECT_EQ(detail.size(), 4U);
    for (const auto* site : {"a", "b"}) sites.has(site, PartState::Stage::running);
    begin();
    parts.wait_until_started(job);
    complete(job);
    EXPECT_EQ(ended(job).deploy_detail, detail);
    EXPECT_THAT(sites.requests(), Contains("forget c")) << "nothing is left there";
}

TEST_F(J7_Restart, SitesAreWaitedFor) {
    options.run.site_return_timeout = kLong;
    definition.required_sites = {"c"};
    const auto job = left_behind();
    for (const auto* site : {"a", "b", "c"}) sites.has(site, PartState::Stage::running);
    sites.disconnect("c");
    begin();
    recorder->wait_for(job, job_event::kRestored);
    sites.connect("c");
    runner->on_site_connected("c");
    parts.wait_until_started(job);
    complete(job);
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::completed) << done.reason;
}

TEST_F(J7_Restart, AJobThatWasOverIsOnlyCleanedUp) {
    const auto job = left_behind();
    // Its controller was killed between the end of its controller part and its final status.
    std::ofstream(options.run.folder / (job + ".verdict")) << "execution_exception\nround 3: no answer";
    for (const auto* site : {"a", "b", "c"}) sites.has(site, PartState::Stage::running);
    begin();
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::execution_exception);
    EXPECT_EQ(done.reason, "round 3: no answer");
    EXPECT_THAT(parts.starts(), ElementsAre(job)) << "it has begun again";
    EXPECT_FALSE(std::filesystem::exists(options.run.folder / (job + ".verdict")));
}

TEST_F(J7_Restart, AWorkspaceThatIsLostIsMadeAgain) {
    const auto job = left_behind();
    for (const auto* site : {"a", "b", "c"}) sites.has(site, PartState::Stage::running);
    std::filesystem::remove_all(options.run.folder / job);
    begin();
    parts.wait_until_started(job);
    EXPECT_TRUE(std::filesystem::exists(options.run.folder / job / "job.toml"));
    complete(job);
    EXPECT_EQ(ended(job).status, JobStatus::completed);
}

TEST_F(J7_Restart, WhatBelongsToNoActiveJobIsSwept) {
    const auto job = left_behind();
    for (const auto* site : {"a", "b", "c"}) sites.has(site, PartState::Stage::running);
    std::filesystem::create_directories(options.run.folder / "of-a-job-that-has-ended" / "results");
    begin();
    EXPECT_FALSE(std::filesystem::exists(options.run.folder / "of-a-job-that-has-ended"));
    EXPECT_TRUE(std::filesystem::exists(options.run.folder / job / "job.toml"));
    parts.wait_until_started(job);
    complete(job);
    (void)ended(job);
}

TEST_F(J7_Restart, ItHoldsItsSlot) {
    const auto job = left_behind();
    for (const auto* site : {"a", "b", "c"}) sites.has(site, PartState::Stage::running);
    begin();
    const auto next = submit();
    parts.wait_until_started(job);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(record(next).status, JobStatus::submitted);
    complete(job);
    (void)ended(job);
    recorder->wait_for(next, job_event::kStarted);
    complete(next);
    EXPECT_EQ(ended(next).status, JobStatus::completed);
}

TEST_F(J7_Restart, SitesThatHaveLostTheirPartCountAsLost) {
    const auto job = left_behind();
    sites.has("a", PartState::Stage::running);
    sites.has("b", PartState::Stage::ended, "killed");
    begin();
    const auto done = ended(job);
    EXPECT_EQ(done.status, JobStatus::abnormal) << done.reason;
    EXPECT_EQ(std::ranges::count(sites.requests(), "start b"), 1) << "no part runs twice";
}

TEST_F(J7_Restart, WithoutRestoringItIsAbandoned) {
    const auto job = left_behind();
    options.restore = JobRunnerOptions::Restore::abandon;
    begin();
    recorder->wait_for(job, job_event::kAborted);
    EXPECT_EQ(record(job).status, JobStatus::abandoned);
    EXPECT_THAT(sites.requests(), IsSupersetOf({"forget a", "forget b", "forget c"}));
}

TEST_F(J7_Restart, TakenOverByAnotherControllerItIsAbnormal) {
    const auto job = left_behind();
    options.restore = JobRunnerOptions::Restore::take_over;
    begin();
    recorder->wait_for(job, job_event::kAborted);
    EXPECT_EQ(record(job).status, JobStatus::abnormal);
}

}  // namespace
}  // namespace rankexec::job
