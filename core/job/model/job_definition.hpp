// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// In a list of sites: the controller and all sites that are connected when the job is scheduled.
inline constexpr std::string_view kAllSites = "@ALL";

/// One folder of the bundle, and where it goes.
struct RANKEXEC_EXPORT JobPart {
    std::string folder;              ///< in the bundle; holds part.toml, a job file without [workflow]
    std::vector<std::string> sites;  ///< names, or kAllSites alone
    ResourceNeed need;               ///< at each of these sites
    friend bool operator==(const JobPart&, const JobPart&) = default;
};

/// What job.toml in a bundle says. docs/jobs.md is the reference for every key.
struct RANKEXEC_EXPORT JobDefinition {
    std::string name;
    int min_sites = 1;                        ///< fewer fail the job
    std::vector<std::string> required_sites;  ///< without any of these it fails
    std::vector<JobPart> parts;               ///< the deploy map; a site is in at most one of them
    // The controller part: a process beside the controller.
    std::string controller_plugin;          ///< library with its components, in the bundle or searched; empty: none
    ComponentSpec workflow;                 ///< decides what the sites do; type e.g. "fed_avg"
    std::vector<ComponentSpec> components;  ///< of the controller part, beside the workflow

    /// The part that a site gets: the one that names it, else the one for all. nullptr: none.
    [[nodiscard]] const JobPart* part_of(std::string_view site) const noexcept;
    [[nodiscard]] bool for_all_sites() const noexcept;
    friend bool operator==(const JobDefinition&, const JobDefinition&) = default;
};

/// Reads job.toml. Total: any text gives a definition, or throws ConfigurationError (job_file) with file, line and what
/// to write instead. Nothing outside the text is looked at.
[[nodiscard]] RANKEXEC_EXPORT JobDefinition parse_definition(std::string_view text, const std::string& file);

/// In the bundle's top folder.
inline constexpr const char* kDefinitionFile = "job.toml";

/// What is wrong with a text as the name of a job, site or user, or as a job's id: empty when nothing is. Names have 1
/// to 63 characters of [A-Za-z0-9_.-] and begin with a letter or digit, so that none leads out of a folder.
[[nodiscard]] RANKEXEC_EXPORT std::string name_error(std::string_view text);

}  // namespace rankexec::job
