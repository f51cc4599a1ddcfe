// SPDX-License-Identifier: Apache-2.0
// Controller and sites with all that belongs to them: hub, store, bundles, guardians. Only what the parts do is a line
// of shell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "rankexec/core/job/backend/local_backend.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/core/job/site/site_service.hpp"
#include "rankexec/ipc/hub/hub.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::chrono::seconds kLong{30};

class ServiceTest : public ::testing::Test {
protected:
    ServiceTest() : own(Identity::create(Role::controller, "controller")) {
        own.save(home() / kIdentityFile);
        write("job.toml",
              "name = \"job\"\nmin_sites = 2\n[workflow]\ntype = \"x\"\n[[parts]]\nfolder = "
              "\"site\"\nsites = [\"@ALL\"]\n");
        write("site/part.toml", "");
        write("site/data", std::string(3'000'000, 'x'));
    }
    ~ServiceTest() override { stop_all(); }

    [[nodiscard]] fs::path home() const { return folder.path() / "controller"; }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + (folder.path() / "hub").string(); }
    void write(const std::string& name, const std::string& content) const {
        const auto file = folder.path() / "job" / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << content;
    }
    /// What the controller part does, as a line of shell.
    void start_controller(const std::string& part = "exit 0") {
        ControllerOptions options;
        options.home = home();
        options.listen = {endpoint()};
        options.part_command = {"sh", "-c", part};
        options.runner.run.abort_timeout = std::chrono::milliseconds(500);
        options.runner.run.site_return_timeout = std::chrono::seconds(5);
        options.on_event = [this](const std::string& job, const std::string& type, const std::string& text) {
            const std::lock_guard lock(mutex);
            events[job].emplace_back(type, text);
            changed.notify_all();
        };
        auto started = ControllerService::start(std::move(options));
        ASSERT_TRUE(started) << started.error().message;
        controller = std::move(*started);
    }
    void start_site(const std::string& name, const std::string& part = "exec sleep 1000") {
        if (!identities.contains(name)) {
            auto identity = Identity::create(Role::site, name);
            identity.controller = own.public_part();
            ASSERT_TRUE(PeerDirectory(home() / kPeersFolder).add({identity.public_part(), {}}));
            identities.emplace(name, identity);
        }
        SiteOptions options(identities.at(name));
        options.controller = endpoint();
        options.home = folder.path() / ("site." + name);
        options.resources.cores = options.resources.free_cores = 4;
        options.backend = std::make_unique<LocalBackend>();
        options.part_command = {"sh", "-c", part};
        options.abort_grace = std::chrono::milliseconds(200);
        auto started = SiteService::start(std::move(options));
        ASSERT_TRUE(started) << started.error().message;
        sites[name] = std::move(*started);
    }
    void stop_all() {
        if (controller) controller->stop();
        controller.reset();
        sites.clear();
    }
    std::string submit() {
        const auto bundle = folder.path() / "bundle";
        EXPECT_TRUE(pack_folder(folder.path() / "job", bundle));
        const auto record = controller->submit(bundle, {});
        EXPECT_TRUE(record) << record.error();
        return record ? record->id : std::string();
    }
    void wait_for(const std::string& job, const std::string& type) {
        std::unique_lock lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, kLong, [&] {
            return std::ranges::any_of(events[job], [&](const auto& event) { return event.first == type; });
        })) << type;
    }
    /// A job whose parts run until they are ended.
    std::string run_on_both_sites() {
        start_controller("exec sleep 1000");
        start_site("a");
        start_site("b");
        const auto job = submit();
        wait_for(job, job_event::kStarted);
        return job;
    }
    void stop_site(const std::string& name) {
        sites[name]->stop();
        sites.erase(name);
    }
    JobRecord ended(const std::string& job) {
        wait_for(job, job_event::kCompleted);
        const auto deadline = std::chrono::steady_clock::now() + kLong;
        while (!controller->runner().running().empty() && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        for (const auto& [name, site] : sites) EXPECT_THAT(site->jobs(), IsEmpty()) << name;
        EXPECT_FALSE(fs::exists(home() / "runs" / job));
        return controller->store().get(job).value();
    }

    cli::TemporaryFolder folder;
    Identity own;
    std::map<std::string, Identity> identities;
    std::unique_ptr<ControllerService> controller;
    std::map<std::string, std::unique_ptr<SiteService>> sites;
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, std::vector<std::pair<std::string, std::string>>> events;
};

using J5_Service = ServiceTest;

TEST_F(J5_Service, AJobRunsOnTwoSitesAndLeavesItsResults) {
    start_controller("ls ../$(basename $PWD) >results/list; echo said; sleep 0.3");
    start_site("a", "test -s site/data && echo here && exec sleep 1000");
    start_site("b", "exec sleep 1000");
    const auto job = submit();
    const auto record = ended(job);
    EXPECT_EQ(record.status, JobStatus::completed) << record.reason;
    const auto archive = controller->store().workspace(job);
    ASSERT_TRUE(archive);
    const auto out = folder.path() / "out";
    ASSERT_TRUE(unpack_bundle(*archive, out));
    EXPECT_TRUE(fs::exists(out / "results" / "list"));
    std::ifstream log(out / "controller.log");
    std::string line;
    EXPECT_TRUE(std::getline(log, line));
    EXPECT_EQ(line, "said");
    EXPECT_TRUE(fs::exists(out / "a.log"));
}

TEST_F(J5_Service, TheExitCodeOfTheControllerPartDecides) {
    start_controller("exit 7");
    start_site("a");
    start_site("b");
    const auto record = ended(submit());
    EXPECT_EQ(record.status, JobStatus::execution_exception);
    EXPECT_THAT(record.reason, HasSubstr("7"));
}

TEST_F(J5_Service, PartsOfSitesThatDieEndTheJob) {
    start_controller("exec sleep 1000");
    start_site("a", "sleep 0.5; kill -9 $$");
    start_site("b");
    const auto record = ended(submit());
    EXPECT_EQ(record.status, JobStatus::abnormal);
    EXPECT_THAT(record.reason, HasSubstr("SIGKILL"));
}

using J6_Service = ServiceTest;

TEST_F(J6_Service, AnAbortEndsAllParts) {
    start_controller("trap '' TERM; sleep 1000");
    start_site("a", "trap '' TERM; sleep 1000");
    start_site("b");
    const auto job = submit();
    wait_for(job, job_event::kStarted);
    EXPECT_TRUE(controller->runner().abort(job, "enough"));
    EXPECT_EQ(ended(job).status, JobStatus::aborted);
}

using J7_Service = ServiceTest;

TEST_F(J7_Service, AfterARestartOfTheControllerThePartsOfSitesAreTakenOver) {
    start_controller("exec sleep 1000");
    start_site("a", "echo started; exec sleep 1000");
    start_site("b");
    const auto job = submit();
    wait_for(job, job_event::kStarted);
    controller->stop();
    controller.reset();
    start_controller("exit 0");
    wait_for(job, job_event::kRestored);
    const auto record = ended(job);
    EXPECT_EQ(record.status, JobStatus::completed) << record.reason;
    EXPECT_EQ(record.incarnation, 2);
}

TEST_F(J7_Service, ASiteThatIsRestartedSaysThatItsPartHasEnded) {
    const auto job = run_on_both_sites();
    stop_site("b");
    start_site("b");
    const auto record = ended(job);
    EXPECT_EQ(record.status, JobStatus::abnormal);
    EXPECT_THAT(record.reason, HasSubstr("b"));
}

TEST_F(J7_Service, AHomeBelongsToOneSiteAtATime) {
    start_controller();
    start_site("a");
    auto other = Identity::create(Role::site, "b");
    other.controller = own.public_part();
    SiteOptions options(other);
    options.controller = endpoint();
    options.home = folder.path() / "site.a";
    options.backend = std::make_unique<LocalBackend>();
    options.part_command = {"true"};
    const auto second = SiteService::start(std::move(options));
    ASSERT_FALSE(second);
    EXPECT_THAT(second.error().message, HasSubstr("in use by another site"));
}

TEST_F(J7_Service, ASiteThatHasLostItsDiskHasLostItsPart) {
    const auto job = run_on_both_sites();
    stop_site("b");
    fs::remove_all(folder.path() / "site.b");
    start_site("b");
    const auto record = ended(job);
    EXPECT_EQ(record.status, JobStatus::abnormal);
    EXPECT_THAT(record.reason, HasSubstr("no longer has its part"));
}

TEST_F(J7_Service, ASiteThatComesBackForgetsJobsThatHaveEndedMeanwhile) {
    const auto job = run_on_both_sites();
    stop_site("b");
    EXPECT_TRUE(controller->runner().abort(job, "enough"));
    (void)ended(job);
    // The next controller knows of no order that was on its way to the site.
    controller->stop();
    controller.reset();
    start_controller();
    start_site("b");
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (!sites["b"]->jobs().empty() && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_THAT(sites["b"]->jobs(), IsEmpty());
    EXPECT_FALSE(fs::exists(folder.path() / "site.b" / "jobs" / job));
}

using J3_Service = ServiceTest;

TEST_F(J3_Service, ASiteTrustsItsControllersSignatureAlone) {
    start_controller();
    start_site("a");
    // What it is told to trust is another controller's key for signatures, with this one's for connections.
    auto stranger = Identity::create(Role::controller, "controller").public_part();
    auto identity = Identity::create(Role::site, "b");
    stranger.curve_key = own.public_part().curve_key;
    identity.controller = stranger;
    ASSERT_TRUE(PeerDirectory(home() / kPeersFolder).add({identity.public_part(), {}}));
    identities.emplace("b", identity);
    start_site("b");
    const auto job = submit();
    wait_for(job, job_event::kAborted);
    const auto record = controller->store().get(job).value();
    EXPECT_EQ(record.status, JobStatus::failed_to_run);
    EXPECT_THAT(record.reason, HasSubstr("not signed by the controller"));
}

TEST_F(J3_Service, WhatItsUserHasNotSignedIsNoJob) {
    const auto user = Identity::create(Role::user, "u");
    ASSERT_TRUE(PeerDirectory(home() / kPeersFolder).add({user.public_part(), {Permission::submit}}));
    start_controller();
    hub::HubClient::Options options;
    options.connect = endpoint();
    options.hub_key = own.public_part().curve_key;
    options.keys = user.curve_keys();
    const auto client = std::move(*hub::HubClient::make(std::move(options)));
    client->start();
    ASSERT_TRUE(client->wait_connected(kLong));
    hub::Reply reply;
    const auto ask = [&](const char* topic, Value::Map headers, Value body = {}) -> std::string {
        auto content = with(std::move(headers));
        content.body = std::move(body);
        reply = client->ask(hub::kHubName, topic, std::move(content), kLong);
        if (!reply) return "no answer: " + reply.error().message;
        return reply->ok() ? "" : reply->failure.value_or(Failure{}).message;
    };
    const auto file = folder.path() / "bundle";
    ASSERT_TRUE(pack_folder(folder.path() / "job", file));
    const auto digest = bundle_digest(file).value();
    std::ifstream in(file, std::ios::binary);
    std::string bundle(std::istreambuf_iterator<char>(in), {});
    const auto begin = [&](const Signature& signature) {
        return ask(topic::kSubmitBegin, {{"digest", digest},
                                         {"bytes", static_cast<std::int64_t>(bundle.size())},
                                         {"signature", to_hex(signature)}});
    };
    const auto send_all = [&]() -> std::string {
        if (auto refused = begin(user.sign("submit", digest)); !refused.empty()) return refused;
        const auto upload = text_in(*reply, "upload");
        const auto bytes = std::as_bytes(std::span(bundle));
        const auto refused =
            ask(topic::kSubmitChunk, {{"upload", upload}, {"offset", 0}}, Bytes(bytes.begin(), bytes.end()));
        return refused.empty() ? ask(topic::kSubmitEnd, {{"upload", upload}}) : refused;
    };
    const auto stranger = Identity::create(Role::user, "u");
    EXPECT_THAT(begin(stranger.sign("submit", digest)), HasSubstr("not signed with the key"));
    EXPECT_THAT(begin(user.sign("deploy", digest)), HasSubstr("not signed with the key"));
    // The byte of the header of gzip that names the system: it unpacks to the same.
    bundle[9] = static_cast<char>(bundle[9] ^ 1);
    EXPECT_THAT(send_all(), HasSubstr("another digest"));
    EXPECT_THAT(controller->store().list().value(), IsEmpty());
    bundle[9] = static_cast<char>(bundle[9] ^ 1);
    EXPECT_EQ(send_all(), "");
    EXPECT_EQ(controller->store().get(text_in(*reply, "job")).value().submitter, "u");
    client->close();
}

}  // namespace
}  // namespace rankexec::job
