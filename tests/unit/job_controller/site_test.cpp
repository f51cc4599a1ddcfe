// SPDX-License-Identifier: Apache-2.0
// A site, and a controller that says what it is told to.
#include "rankexec/core/job/site/site_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>

#include "rankexec/core/job/backend/local_backend.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/ipc/hub/hub.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLong{30'000};
constexpr const char* kJob = "0123456789abcdef0123456789abcdef";

class SiteTest : public ::testing::Test {
protected:
    SiteTest() {
        fs::create_directories(folder.path() / "job" / "site");
        std::ofstream(folder.path() / "job" / "job.toml")
            << "name = \"job\"\n[workflow]\ntype = \"x\"\n[[parts]]\nfolder = \"site\"\nsites = [\"@ALL\"]\n";
        std::ofstream(folder.path() / "job" / "site" / "part.toml") << "";
        EXPECT_TRUE(pack_folder(folder.path() / "job", bundle));
        auto identity = Identity::create(Role::site, "a");
        identity.controller = own.public_part();
        start_hub(identity);
        start_site(std::move(identity));
    }
    ~SiteTest() override {
        site.reset();
        hub->close();
    }

    void start_hub(const Identity& identity) {
        hub::HubServer::Options options;
        options.listen = {endpoint()};
        options.keys = own.curve_keys();
        options.on_connected = [this](const std::string& /*peer*/) { connected.set_value(); };
        auto made = hub::HubServer::make(std::move(options));
        ASSERT_TRUE(made) << made.error().message;
        hub = std::move(*made);
        hub->handle(topic::kSiteState, [](hub::Request&&, const hub::Answer& answer) { answer({}); });
        hub->handle(topic::kPartEnded, [](hub::Request&&, const hub::Answer& answer) { answer({}); });
        hub->handle(topic::kBundleChunk, [this](hub::Request&&, hub::Answer answer) {
            const std::lock_guard lock(mutex);
            wanted.push_back(std::move(answer));
            changed.notify_all();
        });
        hub->allow("site/a", identity.public_part().curve_key);
        hub->start();
    }
    void start_site(Identity identity) {
        SiteOptions options(std::move(identity));
        options.controller = endpoint();
        options.home = folder.path() / "site.a";
        options.resources.cores = options.resources.free_cores = 4;
        options.backend = std::make_unique<LocalBackend>();
        options.part_command = {"sleep", "1000"};
        options.abort_grace = std::chrono::milliseconds(1);
        auto started = SiteService::start(std::move(options));
        ASSERT_TRUE(started) << started.error().message;
        site = std::move(*started);
        ASSERT_EQ(connected.get_future().wait_for(kLong), std::future_status::ready);
    }
    [[nodiscard]] std::string endpoint() const { return "ipc://" + (folder.path() / "hub").string(); }

    std::future<Shareable> order(const char* topic, Value::Map headers, Value body = {}) {
        Shareable content;
        headers["job"] = kJob;
        content.headers = std::move(headers);
        content.body = std::move(body);
        auto said = std::make_shared<std::promise<Shareable>>();
        auto reply = said->get_future();
        hub->request("site/a", topic, std::move(content), kLong, [said](hub::Reply&& come) {
            said->set_value(come ? std::move(*come) : Shareable::failed(come.error().code, come.error().message));
        });
        return reply;
    }
    std::string reserve() {
        ResourceNeed need;
        need.cores = 1;
        const auto reply = order(topic::kCheckResources, {}, to_value(need)).get();
        EXPECT_TRUE(reply.ok());
        return text_in(reply, "token");
    }
    std::future<Shareable> deploy(const std::string& token) {
        const auto digest = bundle_digest(bundle).value();
        return order(topic::kDeploy, {{"digest", digest},
                                      {"bytes", static_cast<std::int64_t>(fs::file_size(bundle))},
                                      {"signature", to_hex(own.sign(std::string("deploy ") + kJob, digest))},
                                      {"token", token}});
    }
    Shareable start(const std::string& token) {
        PartSetup setup;
        setup.job = kJob;
        setup.participant = "a";
        setup.hub_key = setup.secret = std::string(64, '0');
        setup.folder = "site";
        setup.sites = {"a"};
        return order(topic::kStartPart, {{"token", token}, {"run", kJob}, {"setup", setup.to_text()}}).get();
    }
    /// The site asks for the bundle.
    hub::Answer next_wanted() {
        std::unique_lock lock(mutex);
        EXPECT_TRUE(changed.wait_for(lock, kLong, [this] { return !wanted.empty(); }));
        if (wanted.empty()) return [](const Shareable&) {};
        auto answer = std::move(wanted.front());
        wanted.pop_front();
        return answer;
    }
    [[nodiscard]] Shareable whole_bundle() const {
        std::ifstream file(bundle, std::ios::binary);
        const std::string text((std::istreambuf_iterator<char>(file)), {});
        Shareable content;
        const auto* const bytes = reinterpret_cast<const std::byte*>(text.data());
        content.body = Bytes(bytes, bytes + text.size());
        return content;
    }
    static std::string why_not(const Shareable& reply) { return reply.failure ? reply.failure->message : ""; }

    cli::TemporaryFolder folder;
    const fs::path bundle = folder.path() / "bundle";
    const Identity own = Identity::create(Role::controller, hub::kHubName);
    std::promise<void> connected;
    std::unique_ptr<hub::HubServer> hub;
    std::unique_ptr<SiteService> site;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<hub::Answer> wanted;  ///< by the site
};

using J7_Site = SiteTest;

// A controller is killed while it deploys a job. The next one deploys it again, whatever the site still does for the
// first one.

TEST_F(J7_Site, ADeploymentThatFailsTakesNoReservationOfTheNextController) {
    auto first = deploy(reserve());
    const auto gone = next_wanted();
    const auto token = reserve();
    gone(Shareable::failed(ReturnCode::not_ready, "the controller is gone"));
    EXPECT_FALSE(first.get().ok());
    auto second = deploy(token);
    next_wanted()(whole_bundle());
    EXPECT_EQ(why_not(second.get()), "");
    EXPECT_EQ(why_not(start(token)), "");
}

TEST_F(J7_Site, ADeploymentThatWaitsForOneThatFailsSucceeds) {
    auto first = deploy(reserve());
    const auto gone = next_wanted();
    const auto token = reserve();
    auto second = deploy(token);
    gone(Shareable::failed(ReturnCode::not_ready, "the controller is gone"));
    EXPECT_FALSE(first.get().ok());
    next_wanted()(whole_bundle());
    EXPECT_EQ(why_not(second.get()), "");
    EXPECT_EQ(why_not(start(token)), "");
    EXPECT_THAT(site->jobs(), ::testing::ElementsAre(kJob));
}

TEST_F(J7_Site, AJobThatIsForgottenWhileItIsDeployedLeavesNothing) {
    auto deployed = deploy(reserve());
    const auto answer = next_wanted();
    auto forgotten = order(topic::kForgetJob, {});
    answer(whole_bundle());
    (void)deployed.get();
    EXPECT_EQ(why_not(forgotten.get()), "");
    EXPECT_THAT(site->jobs(), ::testing::IsEmpty());
    EXPECT_EQ(site->resources().free_cores, 4);
    EXPECT_FALSE(fs::exists(folder.path() / "site.a" / "jobs" / kJob));
}

}  // namespace
}  // namespace rankexec::job
