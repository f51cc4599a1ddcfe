// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "rankexec/core/job/controller/sites.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

/// The sites that are connected to a hub. It never waits for a site that is not connected.
class RANKEXEC_EXPORT HubSites final : public Sites {
public:
    struct BundleInfo {
        std::string digest;
        std::int64_t bytes = 0;
        std::string signature;  ///< by the controller, as to_hex() makes it
    };
    /// `hub` is the caller's, and outlives this. `bundle_of` may throw std::exception.
    HubSites(hub::HubServer& hub, std::function<BundleInfo(const std::string& job)> bundle_of,
             Milliseconds check_timeout = Milliseconds(5'000));

    /// What a site says of itself; it counts as connected from then on.
    void on_state(const std::string& site, ResourceState resources, std::string backend);
    void on_lost(const std::string& site);

    struct View {
        std::string site;
        bool connected = false;
        ResourceState resources;
        std::string backend;
    };
    /// All that were ever there, by name.
    [[nodiscard]] std::vector<View> views() const;

    [[nodiscard]] std::vector<Site> connected() override;
    [[nodiscard]] std::map<std::string, Answer> reserve(const std::string& job,
                                                        const std::vector<Question>& questions) override;
    void cancel(const std::string& site, const std::string& token) override;
    [[nodiscard]] Outcomes deploy(const std::string& job, const std::vector<Order>& orders,
                                  Milliseconds timeout) override;
    [[nodiscard]] Outcomes start(const std::string& job, const std::string& run, const std::vector<Order>& orders,
                                 Milliseconds timeout) override;
    void abort(const std::string& job, const std::vector<std::string>& sites, const std::string& reason,
               Milliseconds timeout) override;
    [[nodiscard]] tl::expected<PartState, std::string> part(const std::string& site, const std::string& job,
                                                            Milliseconds timeout) override;
    /// Of all jobs that the site has something of.
    [[nodiscard]] tl::expected<std::vector<PartState>, std::string> parts(const std::string& site,
                                                                          Milliseconds timeout);
    void forget(const std::string& job, const std::vector<std::string>& sites, Milliseconds timeout) override;
    [[nodiscard]] std::string log_tail(const std::string& site, const std::string& job, std::size_t bytes,
                                       Milliseconds timeout) override;
    [[nodiscard]] bool is_connected(const std::string& site) const override;

private:
    struct Ask {
        std::string site;
        Shareable content;
    };
    /// Asks all at once and waits for all; those that are not connected have not_ready. With a `deadline` that is later
    /// than that of waiting, who has not answered by then is missing, and goes on being asked.
    [[nodiscard]] std::map<std::string, hub::Reply> ask_all(const std::string& topic, std::vector<Ask> asks,
                                                            Milliseconds timeout, Milliseconds deadline = {});

    hub::HubServer& hub_;
    const std::function<BundleInfo(const std::string& job)> bundle_of_;
    const Milliseconds check_timeout_;
    mutable std::mutex mutex_;
    std::map<std::string, View> views_;
};

}  // namespace rankexec::job
