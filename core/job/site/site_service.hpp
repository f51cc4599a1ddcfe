// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT SiteOptions {
    using Milliseconds = std::chrono::milliseconds;
    explicit SiteOptions(Identity own) : identity(std::move(own)) {}

    Identity identity;           ///< of a site; knows the controller's keys
    std::string controller;      ///< the hub's endpoint
    std::filesystem::path home;  ///< jobs' workspaces; made where it is not there
    ResourceState resources;     ///< what the site has
    std::unique_ptr<RunBackend> backend;
    std::vector<std::string> part_command;                   ///< argv of the process of a site's part
    std::int64_t most_bundle_bytes = std::int64_t{1} << 30;  ///< as an archive, and unpacked
    Milliseconds abort_grace{10'000};                        ///< for a part to end in band, before force
    bool bundle_code = true;                                 ///< PartSetup::bundle_code
    Milliseconds reservation_time{30'000};                   ///< for one that nobody goes on with
    /// May be left out; must not block.
    std::function<void(bool connected, const std::string& why)> on_connection;
};

/// A site: takes its parts of jobs from a controller, runs them through a backend, and says how they ended. It
/// connects, and connects again, for as long as it lives. What it has is on its disk, so that a site that was killed
/// knows after its restart which parts it had. Any thread may call everything.
class RANKEXEC_EXPORT SiteService {
public:
    [[nodiscard]] static tl::expected<std::unique_ptr<SiteService>, Failure> start(SiteOptions options);
    virtual ~SiteService();

    [[nodiscard]] virtual bool connected() const = 0;
    /// Jobs of which it has a part, whatever that is doing.
    [[nodiscard]] virtual std::vector<std::string> jobs() const = 0;
    /// What it has, and what of it nobody has reserved.
    [[nodiscard]] virtual ResourceState resources() const = 0;
    /// Ends all local parts; those of an engine live on. Idempotent.
    virtual void stop() = 0;
};

}  // namespace rankexec::job
