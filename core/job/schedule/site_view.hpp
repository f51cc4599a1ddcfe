// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/schedule/site_pool.hpp"

namespace rankexec::job {

/// The names of sites as small numbers, given once and for ever, so that a pass looks none up by its text.
class SiteNumbers {
public:
    std::size_t of(const std::string& name) { return numbers_.try_emplace(name, numbers_.size()).first->second; }
    [[nodiscard]] std::size_t size() const noexcept { return numbers_.size(); }

private:
    std::unordered_map<std::string, std::size_t> numbers_;
};

/// Who shall get a part of a job, and what is needed there: its definition as a pass reads it.
struct Targets {
    struct Named {
        std::size_t site;
        std::string name;
        ResourceNeed need;
    };
    std::vector<Named> named;
    std::optional<ResourceNeed> others;  ///< of every site that is not named; none: they get nothing
    std::vector<Named> required;
    std::size_t min_sites = 1;
};
[[nodiscard]] Targets targets_of(const JobDefinition& job, SiteNumbers& numbers);

/// The connected sites as one pass sees them: what they have reported, less what this pass has reserved.
class SiteView {
public:
    SiteView(std::vector<SitePool::Site> sites, SiteNumbers& numbers);

    /// Why the job cannot run with the sites that are connected; empty: it can, as far as that goes.
    [[nodiscard]] std::string lacks_sites(const Targets& job) const;
    /// Why what is free at them is too little; empty: it is enough, by what they have reported.
    [[nodiscard]] std::string lacks_resources(const Targets& job) const;
    /// Whether neither of them says anything, without the words.
    [[nodiscard]] bool could_run(const Targets& job) const;
    /// Why the job could not even run if nobody else did; empty: it could, or a site may still come that makes it.
    [[nodiscard]] std::string never_fits(const Targets& job) const;
    /// One for each connected site that has what it needs.
    [[nodiscard]] std::vector<SitePool::Question> questions(const Targets& job) const;
    /// What a site has granted is not free any more.
    void take(const SitePool::Question& granted);

private:
    [[nodiscard]] const SitePool::Site* site(std::size_t number) const;
    template <typename Visit>
    void for_each_target(const Targets& job, Visit visit) const;

    std::vector<SitePool::Site> sites_;
    std::vector<std::size_t> numbers_;                ///< of those
    std::vector<std::optional<std::size_t>> places_;  ///< by number: in sites_
};

/// Sentences about several sites as one; those that are too many are counted.
[[nodiscard]] std::string joined(const std::vector<std::string>& reasons);
/// "needs 2 GPUs, 1 free" as "needs 2 GPUs at site-b, 1 free".
[[nodiscard]] std::string at_site(const std::string& shortfall, const std::string& site);

}  // namespace rankexec::job
