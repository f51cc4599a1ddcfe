// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/job/backend/log_reader.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/controller/hub_sites.hpp"
#include "rankexec/core/job/controller/job_runner.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"
#include "rankexec/core/job/controller/uploads.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

/// Becomes the reply of a request that is refused.
class Refusal : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// What the controller answers to users, sites and parts. Requests come on the hub's thread, which must not wait for a
/// disk: they are dealt with on the desk's own, one after another.
class Desk {
public:
    struct Ports {
        JobStore& store;
        JobRunner& runner;
        HubSites& sites;
        hub::HubServer& hub;
    };
    struct Options {
        std::filesystem::path uploads;
        std::filesystem::path runs;  ///< workspaces of active jobs
        std::int64_t most_bundle_bytes = 0;
        bool signatures_required = true;
        std::function<void(const std::string& site)> on_site;  ///< ControllerOptions::on_site
    };
    Desk(Ports ports, Options options, Engine& engine);
    ~Desk();
    Desk(const Desk&) = delete;
    Desk& operator=(const Desk&) = delete;

    /// Takes the hub's topics. Before the hub starts.
    void serve();
    void stop();

    // Any thread:
    void set_enrolled(std::map<std::string, EnrolledPeer> peers);
    void on_connected(const std::string& peer);
    void on_lost(const std::string& peer, const std::string& why);
    /// Its run is over and cleaned up.
    void on_job_over(const std::string& job) { on_job_event(job); }
    [[nodiscard]] tl::expected<JobRecord, std::string> submit(const std::filesystem::path& bundle,
                                                              const std::string& submitter, const std::string& token);
    /// Reads job.toml in the job's bundle. Throws ConfigurationError, or std::runtime_error when it cannot be read.
    [[nodiscard]] JobDefinition definition_of(const JobRecord& job);

private:
    using Handler = Shareable (Desk::*)(const hub::Request&);
    struct LogOrder {
        std::string job;
        std::string participant;
        std::int64_t offset = 0;
        std::chrono::milliseconds patience{0};
    };
    struct Waiting {
        std::string job;
        std::int64_t version = 0;
        hub::Answer answer;
        EventLoop::TimerId timer = 0;
        bool over = false;  ///< its time is
    };

    [[nodiscard]] BundleLimits limits() const;
    void take(const char* topic, Handler handler, bool for_users);
    void on_job_event(const std::string& job);
    [[nodiscard]] EnrolledPeer user_of(const std::string& peer) const;
    [[nodiscard]] JobRecord job_of(const hub::Request& request) const;
    [[nodiscard]] JobRecord record_of(const std::string& id) const;
    void require(const hub::Request& request, Permission permission, const JobRecord* job) const;
    [[nodiscard]] std::string part_of_request(const hub::Request& request, std::string& participant) const;
    [[nodiscard]] JobRecord explained(JobRecord record) const;

    // Users:
    Shareable submit_begin(const hub::Request& request);
    Shareable submit_chunk(const hub::Request& request);
    Shareable submit_end(const hub::Request& request);
    Shareable list(const hub::Request& request);
    Shareable show(const hub::Request& request);
    Shareable abort(const hub::Request& request);
    Shareable remove(const hub::Request& request);
    Shareable download(const hub::Request& request);
    Shareable overview(const hub::Request& request);
    void logs(hub::Request&& request, hub::Answer answer);
    void site_log(const LogOrder& order, hub::Answer answer);
    [[nodiscard]] Shareable kept_log(const JobRecord& record, const std::string& participant,
                                     std::int64_t offset) const;
    [[nodiscard]] bool is_over(const std::string& job) const;
    void wait(hub::Request&& request, hub::Answer answer);
    void look_at_waiting(const std::string& job);
    // Sites:
    Shareable site_state(const hub::Request& request);
    Shareable part_ended(const hub::Request& request);
    Shareable bundle_chunk(const hub::Request& request);
    void reconcile(const std::string& site);
    void tell_site_lost(const std::string& job, const std::string& site, const std::string& why, bool final);
    // Parts:
    Shareable part_ready(const hub::Request& request);
    Shareable progress(const hub::Request& request);
    Shareable figure(const hub::Request& request);
    Shareable save_snapshot(const hub::Request& request);
    Shareable load_snapshot(const hub::Request& request);
    Shareable part_report(const hub::Request& request);

    Ports ports_;
    const Options options_;
    Engine& engine_;
    Uploads uploads_;
    EventLoop loop_;
    std::list<Waiting> waiting_;
    LogReader logs_{loop_};
    mutable std::mutex mutex_;
    std::map<std::string, EnrolledPeer> enrolled_;
    bool stopped_ = false;
    std::thread thread_;
};

}  // namespace rankexec::job
