// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/controller/job_runner.hpp"
#include "rankexec/core/job/resources/site_resources.hpp"

/// The commands that hold a controller or a site, and the one that holds both for a single job.
namespace rankexec::cli {

/// `rankexec serve`.
struct ServeCommand {
    std::string home;
    std::vector<std::string> listen;  ///< empty: the default
    std::optional<std::int64_t> most_bundle_bytes;
    job::JobRunnerOptions runner;
    bool unsigned_bundles = false;
};

/// `rankexec site`.
struct SiteCommand {
    std::string name;        ///< empty: as the identity says
    std::string identity;    ///< its file
    std::string controller;  ///< empty: as the identity says
    std::string home;
    std::string backend = "local";
    std::vector<std::string> sbatch_args;
    bool bundle_code = true;
    job::ResourceOptions resources;
};

/// `rankexec job run`.
struct JobRunCommand {
    std::string folder;
    std::vector<std::string> sites;  ///< empty: those that the job names, or two
    std::string results;             ///< where its result folder is copied to; empty: NAME-results
    bool json = false;
};

/// argv of the process of a part: this command. `kind`: "controller" or "site".
[[nodiscard]] std::vector<std::string> part_command(const char* kind);

}  // namespace rankexec::cli
