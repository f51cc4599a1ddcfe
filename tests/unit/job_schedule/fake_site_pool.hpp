// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/job/schedule/site_pool.hpp"

namespace rankexec::job::test {

/// Sites in memory, which count what they are asked.
class FakeSitePool final : public SitePool {
public:
    /// With a number of GPUs of 80000 MiB, 16 cores, and 64000 MiB.
    void connect(const std::string& name, int gpus = 0) {
        Site site{name, {}};
        for (int i = 0; i < gpus; ++i) site.resources.gpus.push_back({std::to_string(i), 80'000, true});
        site.resources.cores = site.resources.free_cores = 16;
        site.resources.memory_mib = site.resources.free_memory_mib = 64'000;
        sites_[name] = std::move(site);
    }
    void disconnect(const std::string& name) { sites_.erase(name); }
    /// As it reports it.
    Site& site(const std::string& name) { return sites_.at(name); }
    void set_free_gpus(const std::string& name, int free) {
        for (auto& gpu : site(name).resources.gpus) gpu.free = free-- > 0;
    }

    std::vector<Site> connected() override {
        std::vector<Site> sites;
        for (const auto& [name, site] : sites_) sites.push_back(site);
        return sites;
    }

    std::map<std::string, Answer> reserve(const std::string& job, const std::vector<Question>& questions) override {
        std::map<std::string, Answer> answers;
        for (const auto& question : questions) {
            asked.emplace_back(job, question);
            if (silent.contains(question.site)) continue;
            if (const auto refusal = refusals.find(question.site); refusal != refusals.end()) {
                answers.emplace(question.site, tl::unexpected(refusal->second));
                continue;
            }
            const auto token = job + "@" + question.site + "#" + std::to_string(++count_);
            reserved.emplace(question.site, token);
            answers.emplace(question.site, token);
        }
        return answers;
    }

    void cancel(const std::string& site, const std::string& token) override {
        cancelled.emplace_back(site, token);
        reserved.erase({site, token});
    }

    std::vector<std::pair<std::string, Question>> asked;
    std::set<std::string> silent;                 ///< do not answer in time
    std::map<std::string, std::string> refusals;  ///< reason by site
    std::set<std::pair<std::string, std::string>> reserved;
    std::vector<std::pair<std::string, std::string>> cancelled;

private:
    std::map<std::string, Site> sites_;
    int count_ = 0;
};

}  // namespace rankexec::job::test
