// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/schedule/site_pool.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// What the part of a job at a site is doing, by the site's account.
struct RANKEXEC_EXPORT PartState {
    enum class Stage : std::uint8_t {
        none,      ///< the site knows nothing of that job
        deployed,  ///< unpacked, not started
        running,
        ended,  ///< and how is told by kind and detail
    };
    std::string job;
    std::string run;  ///< of the start; empty: not started
    Stage stage = Stage::none;
    std::string kind;    ///< as to_string(RunEnd::Kind)
    std::string detail;  ///< for people
};

/// The sites, as a JobRun needs them: the controller's side of what SiteService answers. Any thread; all calls wait,
/// for at most their time, and ask all sites at once.
class RANKEXEC_EXPORT Sites : public SitePool {
public:
    using Milliseconds = std::chrono::milliseconds;
    using Done = tl::expected<void, std::string>;  ///< or why not, for people
    using Outcomes = std::map<std::string, Done>;  ///< by site; no answer in time is an error

    struct Order {
        std::string site;
        std::string token;  ///< of the reservation
        std::string setup;  ///< of kStartPart only
    };
    [[nodiscard]] virtual Outcomes deploy(const std::string& job, const std::vector<Order>& orders,
                                          Milliseconds timeout) = 0;
    /// Run `run` of the job: the same again is success without a second process.
    [[nodiscard]] virtual Outcomes start(const std::string& job, const std::string& run,
                                         const std::vector<Order>& orders, Milliseconds timeout) = 0;
    /// Those that are not connected are left out.
    virtual void abort(const std::string& job, const std::vector<std::string>& sites, const std::string& reason,
                       Milliseconds timeout) = 0;
    /// What the site has of that job; error: it is not there, or does not answer.
    [[nodiscard]] virtual tl::expected<PartState, std::string> part(const std::string& site, const std::string& job,
                                                                    Milliseconds timeout) = 0;
    /// The site is to end and remove all that it has of the job; one that is not connected, as soon as it is again.
    virtual void forget(const std::string& job, const std::vector<std::string>& sites, Milliseconds timeout) = 0;
    /// The end of the part's log; empty when it cannot be had.
    [[nodiscard]] virtual std::string log_tail(const std::string& site, const std::string& job, std::size_t bytes,
                                               Milliseconds timeout) = 0;
    [[nodiscard]] virtual bool is_connected(const std::string& site) const = 0;
};

}  // namespace rankexec::job
