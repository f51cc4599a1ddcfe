// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/schedule/site_view.hpp"

#include <algorithm>
#include <utility>

namespace rankexec::job {
namespace {

bool fits(const ResourceNeed& need, const ResourceState& state) {
    if (need.cores > state.free_cores || need.memory_mib > state.free_memory_mib) return false;
    if (need.gpus == 0) return true;
    const auto gpus = std::ranges::count_if(
        state.gpus, [&](const GpuState& gpu) { return gpu.free && gpu.memory_mib >= need.gpu_memory_mib; });
    return gpus >= need.gpus;
}

std::string too_few(std::size_t there, const Targets& job, const std::string& what) {
    return std::to_string(there) + " of at least " + std::to_string(job.min_sites) + " sites " + what;
}

}  // namespace

std::string joined(const std::vector<std::string>& reasons) {
    constexpr std::size_t kMost = 3;
    std::string text;
    for (std::size_t i = 0; i < std::min(reasons.size(), kMost); ++i) text += (i == 0 ? "" : "; ") + reasons[i];
    if (reasons.size() > kMost) text += "; and so on at " + std::to_string(reasons.size() - kMost) + " more";
    return text;
}

std::string at_site(const std::string& shortfall, const std::string& site) {
    const auto comma = shortfall.find(',');
    if (!shortfall.starts_with("needs ") || comma == std::string::npos) return site + ": " + shortfall;
    return shortfall.substr(0, comma) + " at " + site + shortfall.substr(comma);
}

Targets targets_of(const JobDefinition& job, SiteNumbers& numbers) {
    Targets targets;
    for (const auto& part : job.parts) {
        for (const auto& site : part.sites) {
            if (site == kAllSites) {
                targets.others = part.need;
            } else {
                targets.named.push_back({numbers.of(site), site, part.need});
            }
        }
    }
    for (const auto& site : job.required_sites) {
        const auto* part = job.part_of(site);
        targets.required.push_back({numbers.of(site), site, part == nullptr ? ResourceNeed{} : part->need});
    }
    targets.min_sites = static_cast<std::size_t>(std::max(job.min_sites, 1));
    return targets;
}

SiteView::SiteView(std::vector<SitePool::Site> sites, SiteNumbers& numbers) : sites_(std::move(sites)) {
    for (const auto& site : sites_) numbers_.push_back(numbers.of(site.name));
    places_.resize(numbers.size());
    for (std::size_t i = 0; i < sites_.size(); ++i) places_[numbers_[i]] = i;
}

const SitePool::Site* SiteView::site(std::size_t number) const {
    if (number >= places_.size() || !places_[number]) return nullptr;
    return &sites_[*places_[number]];
}

/// Visits each connected site that shall get a part, until visit() returns false.
template <typename Visit>
void SiteView::for_each_target(const Targets& job, Visit visit) const {
    for (const auto& named : job.named) {
        const auto* found = site(named.site);
        if (found != nullptr && !visit(*found, named.need)) return;
    }
    if (!job.others) return;
    for (std::size_t i = 0; i < sites_.size(); ++i) {
        const bool is_named =
            std::ranges::any_of(job.named, [&](const Targets::Named& named) { return named.site == numbers_[i]; });
        if (!is_named && !visit(sites_[i], *job.others)) return;
    }
}

std::string SiteView::lacks_sites(const Targets& job) const {
    std::vector<std::string> missing;
    for (const auto& required : job.required) {
        if (site(required.site) == nullptr)
            missing.push_back("the required site " + required.name + " is not connected");
    }
    if (!missing.empty()) return joined(missing);
    std::size_t there = 0;
    for_each_target(job, [&](const SitePool::Site&, const ResourceNeed&) { return ++there < job.min_sites; });
    return there < job.min_sites ? too_few(there, job, "are connected") : "";
}

std::string SiteView::lacks_resources(const Targets& job) const {
    std::vector<std::string> short_at;
    for (const auto& required : job.required) {
        const auto* found = site(required.site);
        const auto reason = found == nullptr ? "" : shortfall(required.need, found->resources);
        if (!reason.empty()) short_at.push_back(at_site(reason, required.name));
    }
    if (!short_at.empty()) return joined(short_at);
    std::size_t fitting = 0;
    for_each_target(job, [&](const SitePool::Site& target, const ResourceNeed& need) {
        if (fits(need, target.resources)) return ++fitting < job.min_sites;
        short_at.push_back(at_site(shortfall(need, target.resources), target.name));
        return true;
    });
    if (fitting >= job.min_sites) return "";
    return (short_at.empty() ? "" : joined(short_at) + "; ") + too_few(fitting, job, "have what it needs");
}

bool SiteView::could_run(const Targets& job) const {
    for (const auto& required : job.required) {
        const auto* found = site(required.site);
        if (found == nullptr || !fits(required.need, found->resources)) return false;
    }
    std::size_t fitting = 0;
    for_each_target(job, [&](const SitePool::Site& target, const ResourceNeed& need) {
        if (fits(need, target.resources)) ++fitting;
        return fitting < job.min_sites;
    });
    return fitting >= job.min_sites;
}

std::string SiteView::never_fits(const Targets& job) const {
    for (const auto& required : job.required) {
        const auto* found = site(required.site);
        const auto reason = found == nullptr ? "" : shortfall_of_total(required.need, found->resources);
        if (!reason.empty()) return at_site(reason, required.name);
    }
    if (job.others) return "";
    std::size_t possible = 0;
    std::vector<std::string> never_at;
    for (const auto& named : job.named) {
        const auto* found = site(named.site);
        const auto reason = found == nullptr ? "" : shortfall_of_total(named.need, found->resources);
        if (reason.empty()) {
            ++possible;
        } else {
            never_at.push_back(at_site(reason, named.name));
        }
    }
    return possible < job.min_sites ? joined(never_at) : "";
}

std::vector<SitePool::Question> SiteView::questions(const Targets& job) const {
    std::vector<SitePool::Question> questions;
    for_each_target(job, [&](const SitePool::Site& target, const ResourceNeed& need) {
        if (fits(need, target.resources)) questions.push_back({target.name, need});
        return true;
    });
    return questions;
}

void SiteView::take(const SitePool::Question& granted) {
    const auto found = std::ranges::find(sites_, granted.site, &SitePool::Site::name);
    if (found == sites_.end()) return;
    auto& state = found->resources;
    state.free_cores -= granted.need.cores;
    state.free_memory_mib -= granted.need.memory_mib;
    // Which of them the site has taken it says with its next report; any that serve are as good until then.
    int left = granted.need.gpus;
    for (auto& gpu : state.gpus) {
        if (left == 0) break;
        if (!gpu.free || gpu.memory_mib < granted.need.gpu_memory_mib) continue;
        gpu.free = false;
        --left;
    }
}

}  // namespace rankexec::job
