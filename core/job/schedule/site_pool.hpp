// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// The sites as a scheduler sees them. The controller implements it over the network; tests in memory.
class RANKEXEC_EXPORT SitePool {
public:
    virtual ~SitePool();

    struct Site {
        std::string name;
        ResourceState resources;  ///< as the site has reported them last; only its own check decides
    };
    /// Those that are connected, by name.
    [[nodiscard]] virtual std::vector<Site> connected() = 0;

    struct Question {
        std::string site;
        ResourceNeed need;
    };
    /// A reservation's token, or why the site refuses. No answer in time is a refusal.
    using Answer = tl::expected<std::string, std::string>;
    /// Asks all of them at once, and returns when all have answered or their time is over.
    [[nodiscard]] virtual std::map<std::string, Answer> reserve(const std::string& job,
                                                                const std::vector<Question>& questions) = 0;
    /// Gives a reservation back; of an unknown token it is nothing.
    virtual void cancel(const std::string& site, const std::string& token) = 0;
};

}  // namespace rankexec::job
