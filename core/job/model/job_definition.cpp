// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/job_definition.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/toml/toml_table.hpp"

namespace rankexec::job {
namespace {

constexpr std::size_t kMostBytes = 1U << 20U;
constexpr std::size_t kMostName = 63;
constexpr std::int64_t kMostSites = 10'000;
constexpr std::int64_t kMostMib = std::int64_t{1} << 40U;
// Where a part is named beside sites: no site can have it.
constexpr std::string_view kController = "controller";

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

/// Names separated by single slashes, so that it neither begins at the root nor leads upwards.
std::string folder_error(std::string_view folder) {
    while (true) {
        const auto slash = folder.find('/');
        const auto error = name_error(folder.substr(0, slash));
        if (!error.empty()) return error;
        if (slash == std::string_view::npos) return {};
        folder.remove_prefix(slash + 1);
    }
}

std::string site_error(const std::string& site) {
    if (site == kController) return "is the controller itself, whose part is what [workflow] says; leave it out";
    const auto error = name_error(site);
    return error.empty() ? error : "is no name of a site: " + error;
}

std::vector<std::string> read_sites(const TomlTable& table, std::string_view key) {
    auto sites = table.text_list(key);
    std::set<std::string_view> seen;
    for (const auto& site : sites) {
        const auto error = site == kAllSites ? std::string() : site_error(site);
        if (!error.empty()) table.fail(key, "\"" + site + "\" " + error);
        if (!seen.insert(site).second) table.fail(key, "\"" + site + "\" is there twice");
    }
    if (sites.size() > kMostSites) table.fail(key, "more than " + std::to_string(kMostSites) + " sites");
    return sites;
}

JobPart read_part(const TomlTable& table) {
    JobPart part;
    part.folder = table.required_text("folder");
    const auto error = folder_error(part.folder);
    if (!error.empty()) table.fail("folder", "\"" + part.folder + "\" is no folder of the bundle: " + error);
    part.sites = read_sites(table, "sites");
    if (part.sites.empty()) table.fail("sites", "must name sites, or be [\"@ALL\"]");
    const bool all = std::find(part.sites.begin(), part.sites.end(), kAllSites) != part.sites.end();
    if (all && part.sites.size() > 1) table.fail("sites", "must be names of sites, or \"@ALL\" alone");
    constexpr auto kMostInt = std::numeric_limits<int>::max();
    part.need.gpus = static_cast<int>(table.integer("gpus", 0, kMostInt).value_or(0));
    part.need.gpu_memory_mib = table.integer("gpu_memory_mib", 0, kMostMib).value_or(0);
    part.need.cores = static_cast<int>(table.integer("cores", 0, kMostInt).value_or(0));
    part.need.memory_mib = table.integer("memory_mib", 0, kMostMib).value_or(0);
    if (part.need.gpu_memory_mib > 0 && part.need.gpus == 0) {
        table.fail("gpu_memory_mib", "is the memory of each GPU; say with gpus how many there are to be");
    }
    return part;
}

void read_parts(const TomlTable& top, JobDefinition& job) {
    std::set<std::string> taken;
    for (const auto& table :
         top.tables("parts", {"folder", "sites", "gpus", "gpu_memory_mib", "cores", "memory_mib"})) {
        job.parts.push_back(read_part(table));
        for (const auto& site : job.parts.back().sites) {
            if (!taken.insert(site).second) {
                table.fail("sites", "\"" + site + "\" has another part already; a site gets one");
            }
        }
    }
    if (job.parts.empty()) top.fail("parts", "is missing; write a [[parts]] with folder and sites");
}

void read_requirements(const TomlTable& top, JobDefinition& job) {
    job.required_sites = read_sites(top, "required_sites");
    for (const auto& site : job.required_sites) {
        if (site == kAllSites) top.fail("required_sites", "must be names; how many sites it takes is min_sites");
        if (job.part_of(site) == nullptr) {
            top.fail("required_sites", "\"" + site + "\" has no part; name it in one of the [[parts]]");
        }
    }
    job.min_sites = static_cast<int>(top.integer("min_sites", 1, kMostSites).value_or(1));
    if (job.for_all_sites()) return;
    std::size_t named = 0;
    for (const auto& part : job.parts) named += part.sites.size();
    if (static_cast<std::size_t>(job.min_sites) > named) {
        top.fail("min_sites", "can never be there: the [[parts]] name " + std::to_string(named));
    }
}

void read_controller(const TomlTable& top, JobDefinition& job) {
    job.controller_plugin = top.table("controller", {"plugin"}).text("plugin").value_or("");
    const auto workflow = top.table("workflow", {"id", "type", "args"});
    if (!top.has("workflow")) top.fail("workflow", "is missing; [workflow] with type says what the sites do");
    job.workflow.id = workflow.has("id") ? workflow.required_text("id") : "workflow";
    job.workflow.type = workflow.required_text("type");
    job.workflow.args = workflow.tree("args");
    std::set<std::string> ids{job.workflow.id};
    for (const auto& table : top.tables("controller_components", {"id", "type", "args"})) {
        ComponentSpec spec{table.required_text("id"), table.required_text("type"), table.tree("args")};
        if (!ids.insert(spec.id).second) {
            table.fail("id", "\"" + spec.id + "\" is the id of another component; ids must be unique");
        }
        job.components.push_back(std::move(spec));
    }
}

}  // namespace

const JobPart* JobDefinition::part_of(std::string_view site) const noexcept {
    const JobPart* for_all = nullptr;
    for (const auto& part : parts) {
        for (const auto& name : part.sites) {
            if (name == site) return &part;
            if (name == kAllSites) for_all = &part;
        }
    }
    return for_all;
}

bool JobDefinition::for_all_sites() const noexcept {
    return std::any_of(parts.begin(), parts.end(), [](const JobPart& part) {
        return std::find(part.sites.begin(), part.sites.end(), kAllSites) != part.sites.end();
    });
}

JobDefinition parse_definition(std::string_view text, const std::string& file) {
    if (text.size() > kMostBytes) {
        throw ConfigurationError(ConfigurationError::Kind::job_file, file + ": is larger than 1 MiB");
    }
    const auto document = parse_toml(text, file);
    const TomlTable top(
        document, file, {},
        {"name", "min_sites", "required_sites", "parts", "controller", "workflow", "controller_components"});
    JobDefinition job;
    job.name = top.required_text("name");
    const auto error = name_error(job.name);
    if (!error.empty()) top.fail("name", "\"" + job.name + "\" is no name of a job: " + error);
    read_parts(top, job);
    read_requirements(top, job);
    read_controller(top, job);
    return job;
}

std::string name_error(std::string_view text) {
    if (text.empty()) return "it is empty";
    if (text.size() > kMostName) return "it is longer than " + std::to_string(kMostName) + " characters";
    if (!is_alphanumeric(text.front())) return "it must begin with a letter or digit";
    for (const char c : text) {
        if (!is_alphanumeric(c) && c != '_' && c != '.' && c != '-') {
            return "it may have letters, digits, \"_\", \".\" and \"-\" only";
        }
    }
    return {};
}

}  // namespace rankexec::job
