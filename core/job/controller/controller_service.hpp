// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/controller/job_runner.hpp"
#include "rankexec/core/job/model/job_record.hpp"
#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::job {

/// In a controller's home: its Identity.
inline constexpr const char* kIdentityFile = "identity.toml";
/// In a controller's home: its PeerDirectory.
inline constexpr const char* kPeersFolder = "peers";

struct RANKEXEC_EXPORT ControllerOptions {
    std::filesystem::path home;             ///< identity, peers, store, workspaces; made where it is not there
    std::vector<std::string> listen;        ///< ZeroMQ endpoints, as HubServer's
    std::vector<std::string> part_command;  ///< argv of the process of a controller part
    std::int64_t most_bundle_bytes = std::int64_t{1} << 30;  ///< as an archive; larger ones are refused
    bool signatures_required = true;                         ///< of those who submit over the hub
    JobRunnerOptions runner;                                 ///< run.folder is chosen here
    /// Called for every event of every job, on some thread; must not block. May be left out.
    std::function<void(const std::string& job, const std::string& type, const std::string& text)> on_event;
    /// A site has come, and is there for jobs. On some thread; must not block. May be left out.
    std::function<void(const std::string& site)> on_site;
};

/// The controller: its hub, store, scheduler and runner, and what it answers to users, sites and parts. Any thread may
/// call everything.
class RANKEXEC_EXPORT ControllerService {
public:
    /// The Failure says what cannot be opened or listened at. Jobs of an earlier controller with this home go on.
    [[nodiscard]] static tl::expected<std::unique_ptr<ControllerService>, Failure> start(ControllerOptions options);
    virtual ~ControllerService();

    /// With the ports in the place of "*".
    [[nodiscard]] virtual std::vector<std::string> endpoints() const = 0;
    [[nodiscard]] virtual JobStore& store() = 0;
    [[nodiscard]] virtual JobRunner& runner() = 0;

    struct Submission {
        std::string submitter;
        std::string token;
    };
    /// As a user over the hub would, but without a signature. The bundle, a file, is moved or copied.
    [[nodiscard]] virtual tl::expected<JobRecord, std::string> submit(const std::filesystem::path& bundle,
                                                                      const Submission& submission) = 0;
    /// Idempotent. Sites and their parts stay as they are; controller parts are ended.
    virtual void stop() = 0;
};

}  // namespace rankexec::job
