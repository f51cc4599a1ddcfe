// SPDX-License-Identifier: Apache-2.0
// A site alone, with a controller that asks of it what the test says, and a backend that runs nothing.
#include "rankexec/core/job/site/site_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <thread>

#include "fakes.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/ipc/hub/hub.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using test::FakeBackend;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::chrono::seconds kLong{20};

class SiteTest : public ::testing::Test {
protected:
    SiteTest() : own(Identity::create(Role::controller, "controller")), identity(Identity::create(Role::site, "a")) {
        identity.controller = own.public_part();
        const auto job_folder = folder.path() / "job";
        fs::create_directories(job_folder / "site");
        std::ofstream(job_folder / "job.toml")
            << "name = \"job\"\n[workflow]\ntype = \"x\"\n[[parts]]\nfolder = \"site\"\nsites = [\"@ALL\"]\n";
        EXPECT_TRUE(pack_folder(job_folder, folder.path() / "bundle"));
        std::ifstream file(folder.path() / "bundle", std::ios::binary);
        bundle.assign(std::istreambuf_iterator<char>(file), {});
        digest = bundle_digest(folder.path() / "bundle").value();

        hub::HubServer::Options options;
        options.listen = {"ipc://" + (folder.path() / "hub").string()};
        options.keys = own.curve_keys();
        hub = std::move(*hub::HubServer::make(std::move(options)));
        hub->allow("site/a", identity.public_part().curve_key);
        hub->handle(topic::kSiteState, [](hub::Request&&, const hub::Answer& answer) { answer({}); });
        hub->handle(topic::kPartEnded, [this](hub::Request&& request, const hub::Answer& answer) {
            heard.add(text_in(request.content, "job") + " " + text_in(request.content, "kind"));
            answer({});
        });
        hub->handle(topic::kBundleChunk, [this](hub::Request&&, hub::Answer answer) {
            ++fetched;
            if (!holds_fetches) return answer(whole_bundle());
            const std::lock_guard lock(mutex);
            held.push_back(std::move(answer));
            changed.notify_all();
        });
        hub->start();
        site_options.cores = site_options.free_cores = 4;
        site_options.gpus = {{"7", 80'000, true}, {"8", 80'000, true}};
        start_site();
    }
    ~SiteTest() override {
        if (site) site->stop();
        hub->close();
    }

    void start_site(bool adopts = false) {
        SiteOptions options(identity);
        options.controller = hub->endpoints().front();
        options.home = folder.path() / "home";
        options.resources = site_options;
        auto backend = std::make_unique<FakeBackend>();
        parts = backend.get();
        parts->adopts = adopts;
        options.backend = std::move(backend);
        options.part_command = {"true"};
        options.most_bundle_bytes = most_bundle_bytes;
        options.abort_grace = abort_grace;
        options.reservation_time = reservation_time;
        options.bundle_code = bundle_code;
        connected = false;
        options.on_connection = [this](bool is, const std::string&) { connected = connected || is; };
        site = std::move(*SiteService::start(std::move(options)));
        const auto deadline = std::chrono::steady_clock::now() + kLong;
        while (!connected && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        ASSERT_TRUE(connected);
    }
    void restart_site(bool adopts = false) {
        site->stop();
        site.reset();
        start_site(adopts);
    }
    /// What it says: "" for a success, or why not.
    std::string ask(const std::string& topic, Value::Map headers, Value body = {}) {
        auto content = with(std::move(headers));
        content.body = std::move(body);
        reply = hub->ask("site/a", topic, std::move(content), kLong);
        if (!reply) return "no answer: " + reply.error().message;
        return reply->ok() ? "" : reply->failure.value_or(Failure{}).message;
    }
    /// Does not wait for it. What it says, as above.
    std::future<std::string> order(const std::string& topic, Value::Map headers) {
        auto said = std::make_shared<std::promise<std::string>>();
        auto result = said->get_future();
        hub->request("site/a", topic, with(std::move(headers)), kLong, [said](hub::Reply&& come) {
            said->set_value(!come        ? "no answer: " + come.error().message
                            : come->ok() ? ""
                                         : come->failure.value_or(Failure{}).message);
        });
        return result;
    }
    /// The site asks for the bundle, with `holds_fetches`.
    hub::Answer next_fetch() {
        std::unique_lock lock(mutex);
        if (!changed.wait_for(lock, kLong, [this] { return !held.empty(); })) throw std::runtime_error("no fetch");
        auto answer = std::move(held.front());
        held.pop_front();
        return answer;
    }
    [[nodiscard]] Shareable whole_bundle() const {
        Shareable content;
        const auto bytes = std::as_bytes(std::span(bundle));
        content.body = Bytes(bytes.begin(), bytes.end());
        return content;
    }
    std::string reserve(const std::string& job, const ResourceNeed& need) {
        EXPECT_EQ(ask(topic::kCheckResources, {{"job", job}}, to_value(need)), "");
        return text_in(*reply, "token");
    }
    Value::Map deployment(const std::string& job, const std::string& token, const Signature& signature) const {
        return {{"job", job},
                {"digest", digest},
                {"bytes", static_cast<std::int64_t>(bundle.size())},
                {"signature", to_hex(signature)},
                {"token", token}};
    }
    std::string deploy(const std::string& job, const std::string& token, const Signature& signature) {
        return ask(topic::kDeploy, deployment(job, token, signature));
    }
    /// As a controller does that is killed before the site has the bundle, which is up to the test.
    std::future<std::string> begin_to_deploy(const std::string& job, const std::string& token) {
        return order(topic::kDeploy, deployment(job, token, own.sign("deploy " + job, digest)));
    }
    std::string deploy(const std::string& job, const std::string& token) {
        return deploy(job, token, own.sign("deploy " + job, digest));
    }
    std::string start(const std::string& job, const std::string& token, const std::string& run = "run") {
        PartSetup setup;
        setup.job = job;
        setup.participant = "a";
        setup.hub_key = setup.secret = std::string(64, 'a');
        return ask(topic::kStartPart, {{"job", job}, {"token", token}, {"run", run}, {"setup", setup.to_text()}});
    }
    /// Of its only job.
    std::int64_t deployment() {
        EXPECT_EQ(ask(topic::kPartStatus, {}), "");
        return reply->body.if_array()->front().find("deployment")->integer_or(-1);
    }
    /// A part that runs, and has 3 cores and a GPU.
    void run(const std::string& job) {
        const auto token = reserve(job, {1, 0, 3, 0});
        ASSERT_EQ(deploy(job, token), "");
        ASSERT_EQ(start(job, token), "");
    }
    void expect_nothing_left() const {
        EXPECT_THAT(site->jobs(), IsEmpty());
        EXPECT_TRUE(fs::is_empty(folder.path() / "home" / "jobs"));
        EXPECT_EQ(site->resources().free_cores, 4);
    }

    cli::TemporaryFolder folder;
    Identity own;
    Identity identity;
    std::string bundle;
    std::string digest;
    std::atomic<int> fetched = 0;
    std::atomic<bool> holds_fetches = false;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<hub::Answer> held;
    test::Heard heard;  ///< which parts have ended, and how
    std::unique_ptr<hub::HubServer> hub;
    hub::Reply reply;
    ResourceState site_options;
    std::int64_t most_bundle_bytes = 1 << 20;
    std::chrono::milliseconds abort_grace = kLong;
    std::chrono::milliseconds reservation_time{30'000};
    bool bundle_code = true;
    std::atomic<bool> connected = false;
    std::unique_ptr<SiteService> site;
    FakeBackend* parts = nullptr;
};

using J3_Site = SiteTest;

TEST_F(J3_Site, WhatItsControllerHasNotSignedForThisJobIsNotEvenFetched) {
    const auto stranger = Identity::create(Role::controller, "controller");
    for (const auto& signature : {stranger.sign("deploy job", digest), own.sign("deploy other", digest),
                                  own.sign("deploy job", std::string(64, 'a'))}) {
        EXPECT_THAT(deploy("job", reserve("job", {0, 0, 3, 0}), signature), HasSubstr("not signed by the controller"));
        EXPECT_EQ(fetched, 0);
        expect_nothing_left();
    }
    EXPECT_EQ(deploy("job", reserve("job", {})), "");
    EXPECT_TRUE(fs::exists(folder.path() / "home" / "jobs" / "job" / "work" / "job.toml"));
}

TEST_F(J3_Site, AnotherBundleThanWasSignedIsNotUnpacked) {
    // The byte of the header of gzip that names the system: it unpacks to the same.
    bundle[9] = static_cast<char>(bundle[9] ^ 1);
    EXPECT_THAT(deploy("job", reserve("job", {0, 0, 3, 0})), HasSubstr("another digest"));
    expect_nothing_left();
}

TEST_F(J3_Site, ABundleThatIsTooLargeIsNotFetched) {
    most_bundle_bytes = static_cast<std::int64_t>(bundle.size()) - 1;
    restart_site();
    EXPECT_THAT(deploy("job", reserve("job", {0, 0, 3, 0})), HasSubstr("at most"));
    EXPECT_EQ(fetched, 0);
    expect_nothing_left();
}

TEST_F(J3_Site, WhetherItRunsCodeOfBundlesIsItsOwnChoice) {
    for (const bool allowed : {true, false}) {
        bundle_code = allowed;
        restart_site();
        const auto job = std::string(allowed ? "first" : "second");
        run(job);
        const auto setup =
            PartSetup::from_text(parts->last_spec().environment.front().substr(std::string(kPartVariable).size() + 1));
        ASSERT_TRUE(setup);
        EXPECT_EQ(setup->bundle_code, allowed);
        parts->end(job, {RunEnd::Kind::success, {}, {}});
    }
}

using J4_Site = SiteTest;

TEST_F(J4_Site, TheSameStartIsOneRunAndAnotherIsRefused) {
    const auto token = reserve("job", {});
    EXPECT_THAT(start("job", token), HasSubstr("not deployed"));
    ASSERT_EQ(deploy("job", token), "");
    EXPECT_EQ(start("job", token), "");
    EXPECT_EQ(start("job", token), "");
    parts->end("job", {RunEnd::Kind::success, {}, {}});
    EXPECT_THAT(start("job", token), HasSubstr("was started before"));
    EXPECT_THAT(start("job", token, "again"), HasSubstr("was started before"));
    EXPECT_THAT(parts->starts(), ElementsAre("job"));
}

TEST_F(J4_Site, APartThatCannotBeStartedHasEnded) {
    parts->refuse("no such program");
    const auto token = reserve("job", {0, 0, 3, 0});
    ASSERT_EQ(deploy("job", token), "");
    EXPECT_EQ(start("job", token), "no such program");
    EXPECT_TRUE(heard.wait_for("job backend_failed", kLong));
    EXPECT_EQ(site->resources().free_cores, 4);
}

using J6_Site = SiteTest;

TEST_F(J6_Site, APartThatEndsByItselfIsNotStoppedByForce) {
    run("job");
    hub->request("site/a", topic::kAbortPart, with({{"job", "job"}}), kLong,
                 [this](hub::Reply&& done) { heard.add(done && done->ok() ? "aborted" : "refused"); });
    parts->end("job", {RunEnd::Kind::failure, ExitStatus{false, 102}, "aborted"});
    EXPECT_TRUE(heard.wait_for("aborted", kLong));
    EXPECT_TRUE(heard.wait_for("job failure", kLong));
    EXPECT_THAT(parts->stops(), IsEmpty());
}

TEST_F(J6_Site, OneThatDoesNotEndIsStopped) {
    abort_grace = std::chrono::milliseconds(50);
    restart_site();
    run("job");
    EXPECT_EQ(ask(topic::kAbortPart, {{"job", "job"}}), "");
    EXPECT_THAT(parts->stops(), ElementsAre("job"));
    EXPECT_FALSE(parts->runs("job"));
    EXPECT_EQ(ask(topic::kAbortPart, {{"job", "unknown"}}), "");
}

TEST_F(J6_Site, WhatIsForgottenIsStoppedAndLeavesNothing) {
    run("job");
    EXPECT_EQ(ask(topic::kForgetJob, {{"job", "job"}}), "");
    EXPECT_THAT(parts->stops(), ElementsAre("job"));
    expect_nothing_left();
    EXPECT_EQ(ask(topic::kForgetJob, {{"job", "job"}}), "");
}

using J7_Site = SiteTest;

TEST_F(J7_Site, ARunThatLivesIsTakenOverWithWhatItHas) {
    run("job");
    restart_site(true);
    EXPECT_THAT(site->jobs(), ElementsAre("job"));
    EXPECT_EQ(site->resources().free_cores, 1);
    EXPECT_FALSE(site->resources().gpus.front().free);
    EXPECT_EQ(start("job", "token"), "") << "it runs";
    EXPECT_THAT(parts->starts(), IsEmpty());
    parts->end("job", {RunEnd::Kind::success, {}, {}});
    EXPECT_TRUE(heard.wait_for("job success", kLong));
    EXPECT_EQ(site->resources().free_cores, 4);
}

TEST_F(J7_Site, ARunThatDiedHasEndedAndIsNotStartedAgain) {
    run("job");
    restart_site();
    EXPECT_EQ(site->resources().free_cores, 4);
    EXPECT_EQ(ask(topic::kPartStatus, {}), "");
    const auto* states = reply->body.if_array();
    ASSERT_NE(states, nullptr);
    ASSERT_THAT(*states, SizeIs(1));
    EXPECT_EQ(states->front().find("state")->text_or(""), "ended");
    EXPECT_EQ(states->front().find("kind")->text_or(""), "killed");
    EXPECT_THAT(start("job", "token"), HasSubstr("was started before"));
    EXPECT_THAT(parts->starts(), IsEmpty());
}

// A controller is killed while it deploys a job. The next one deploys it again, whatever the site still does for the
// first one.

TEST_F(J7_Site, ADeploymentThatFailsTakesNoReservationOfTheNextController) {
    holds_fetches = true;
    auto first = begin_to_deploy("job", reserve("job", {0, 0, 1, 0}));
    const auto gone = next_fetch();
    const auto token = reserve("job", {0, 0, 1, 0});
    gone(Shareable::failed(ReturnCode::not_ready, "the controller is gone"));
    EXPECT_THAT(first.get(), HasSubstr("the controller is gone"));
    holds_fetches = false;
    EXPECT_EQ(deploy("job", token), "");
    EXPECT_EQ(start("job", token), "");
}

TEST_F(J7_Site, ADeploymentThatWaitsForOneThatFailsSucceeds) {
    holds_fetches = true;
    auto first = begin_to_deploy("job", reserve("job", {0, 0, 1, 0}));
    const auto gone = next_fetch();
    const auto token = reserve("job", {0, 0, 1, 0});
    auto second = begin_to_deploy("job", token);
    gone(Shareable::failed(ReturnCode::not_ready, "the controller is gone"));
    EXPECT_THAT(first.get(), HasSubstr("the controller is gone"));
    next_fetch()(whole_bundle());
    EXPECT_EQ(second.get(), "");
    EXPECT_EQ(start("job", token), "");
    EXPECT_THAT(site->jobs(), ElementsAre("job"));
}

TEST_F(J7_Site, WhatIsAskedOfAJobIsDoneInThatOrder) {
    for (int round = 0; round < 20; ++round) {
        holds_fetches = true;
        auto first = begin_to_deploy("job", reserve("job", {0, 0, 1, 0}));
        const auto fetch = next_fetch();
        // From a controller that is gone; the next one has nothing left but to remove the job.
        auto late = begin_to_deploy("job", reserve("job", {0, 0, 1, 0}));
        auto last = begin_to_deploy("job", reserve("job", {0, 0, 1, 0}));
        auto forgotten = order(topic::kForgetJob, {{"job", "job"}});
        holds_fetches = false;
        fetch(whole_bundle());
        EXPECT_EQ(first.get(), "");
        EXPECT_EQ(late.get(), "");
        EXPECT_EQ(last.get(), "");
        EXPECT_EQ(forgotten.get(), "");
        expect_nothing_left();
    }
}

TEST_F(J7_Site, OnlyTheDeploymentThatIsMeantIsForgotten) {
    ASSERT_EQ(deploy("job", reserve("job", {0, 0, 1, 0})), "");
    const auto old = deployment();
    const auto token = reserve("job", {0, 0, 1, 0});
    EXPECT_EQ(site->resources().free_cores, 2);
    ASSERT_EQ(deploy("job", token), "");
    EXPECT_EQ(site->resources().free_cores, 3) << "the first reservation is nobody's any more";
    EXPECT_EQ(ask(topic::kForgetJob, {{"job", "job"}, {"deployment", old}}), "");
    EXPECT_EQ(start("job", token), "");
    EXPECT_EQ(ask(topic::kForgetJob, {{"job", "job"}, {"deployment", deployment()}}), "");
    expect_nothing_left();
}

TEST_F(J7_Site, WhatIsForgottenTakesNoReservationOfTheNextDeployment) {
    ASSERT_EQ(deploy("job", reserve("job", {0, 0, 1, 0})), "");
    const auto old = deployment();
    const auto token = reserve("job", {0, 0, 1, 0});
    EXPECT_EQ(ask(topic::kForgetJob, {{"job", "job"}, {"deployment", old}}), "");
    ASSERT_EQ(deploy("job", token), "");
    EXPECT_EQ(start("job", token), "");
}

TEST_F(J7_Site, AJobThatIsForgottenWhileItIsDeployedLeavesNothing) {
    holds_fetches = true;
    auto deployed = begin_to_deploy("job", reserve("job", {0, 0, 1, 0}));
    const auto answer = next_fetch();
    auto forgotten = order(topic::kForgetJob, {{"job", "job"}});
    answer(whole_bundle());
    (void)deployed.get();
    EXPECT_EQ(forgotten.get(), "");
    expect_nothing_left();
}

using J9_Site = SiteTest;

TEST_F(J9_Site, NothingStartsWithoutItsReservation) {
    const auto token = reserve("job", {0, 0, 3, 0});
    EXPECT_EQ(site->resources().free_cores, 1);
    ASSERT_EQ(deploy("job", token), "");
    EXPECT_EQ(ask(topic::kCancelReservation, {{"token", token}}), "");
    EXPECT_EQ(site->resources().free_cores, 4);
    EXPECT_EQ(ask(topic::kCancelReservation, {{"token", token}}), "") << "it is nothing";
    EXPECT_THAT(start("job", token), HasSubstr("no reservation"));
    EXPECT_THAT(start("job", "0123456789abcdef"), HasSubstr("no reservation"));
    EXPECT_THAT(parts->starts(), IsEmpty());
}

TEST_F(J9_Site, AReservationLastsWhileItsJobIsOnItsWayAndEndsOtherwise) {
    reservation_time = std::chrono::seconds(3);
    restart_site();
    const auto token = reserve("job", {0, 0, 2, 0});
    ASSERT_EQ(deploy("job", token), "");
    const auto left = reserve("left", {0, 0, 1, 0});
    EXPECT_EQ(site->resources().free_cores, 1);
    // The one that nobody goes on with is the younger.
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (site->resources().free_cores == 1 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(site->resources().free_cores, 2);
    EXPECT_EQ(start("job", token), "");
    ASSERT_EQ(deploy("left", left), "");
    EXPECT_THAT(start("left", left), HasSubstr("no reservation"));
}

TEST_F(J9_Site, APartHasWhatWasReservedUntilItHasEnded) {
    run("job");
    EXPECT_EQ(site->resources().free_cores, 1);
    EXPECT_THAT(ask(topic::kCheckResources, {{"job", "next"}}, to_value(ResourceNeed{0, 0, 2, 0})),
                HasSubstr("needs 2 cores, 1 free"));
    const auto spec = parts->last_spec();
    EXPECT_THAT(spec.gpus, ElementsAre("7"));
    ASSERT_THAT(spec.environment, SizeIs(1));
    const auto setup = PartSetup::from_text(spec.environment.front().substr(std::string(kPartVariable).size() + 1));
    ASSERT_TRUE(setup);
    EXPECT_THAT(setup->gpus, ElementsAre("7"));
    parts->end("job", {RunEnd::Kind::success, {}, {}});
    EXPECT_EQ(site->resources().free_cores, 4);
    EXPECT_EQ(site->jobs().size(), 1U) << "until it is forgotten";
}

}  // namespace
}  // namespace rankexec::job
