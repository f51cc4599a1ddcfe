// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/hub_sites.hpp"

#include <gtest/gtest.h>

#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/ipc/hub/hub.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

TEST(J6_HubSites, WhoIsNotConnectedIsNotAsked) {
    const cli::TemporaryFolder folder;
    hub::HubServer::Options options;
    options.listen = {"ipc://" + (folder.path() / "hub").string()};
    options.keys = Identity::create(Role::controller, "controller").curve_keys();
    const auto hub = std::move(*hub::HubServer::make(std::move(options)));
    hub->start();
    HubSites sites(*hub, [](const std::string&) { return HubSites::BundleInfo{}; });
    sites.on_state("lost", {}, "local");
    sites.on_lost("lost");
    // The hub itself would try for as long as it may, and then say that there was no answer.
    const auto outcomes =
        sites.start("job", "run", {{"lost", {}, {}}, {"unknown", {}, {}}}, std::chrono::milliseconds(50));
    for (const auto* site : {"lost", "unknown"}) {
        ASSERT_TRUE(outcomes.contains(site));
        ASSERT_FALSE(outcomes.at(site));
        EXPECT_EQ(outcomes.at(site).error(), "the site is not connected");
    }
    const auto part = sites.part("lost", "job", std::chrono::milliseconds(50));
    ASSERT_FALSE(part);
    EXPECT_EQ(part.error(), "the site is not connected");
    hub->close();
}

}  // namespace
}  // namespace rankexec::job
