// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

struct RANKEXEC_EXPORT ResourceManagerOptions {
    /// What the site has; everything of it is taken as free in the beginning. site_resources() finds it.
    ResourceState total;
    std::chrono::milliseconds reservation_time{30'000};  ///< after which one that is not renewed is over
};

/// Who has reserved and taken what of a site. Nothing here changes the environment of this process: what a run may use
/// it is told (RunSpec::gpus).
///
/// A reservation is made by reserve(), becomes the job's by allocate() and is given back by free(); cancel() or time
/// ends it before. Time is that of the injected clock; what it ends is seen by the next call of any function.
///
/// Any thread.
class RANKEXEC_EXPORT ResourceManager {
public:
    using Clock = std::function<std::chrono::steady_clock::time_point()>;

    /// Throws ConfigurationError (option) for options that make no sense. An empty clock: that of the system.
    explicit ResourceManager(ResourceManagerOptions options, Clock clock = {});
    ~ResourceManager();
    ResourceManager(const ResourceManager&) = delete;
    ResourceManager& operator=(const ResourceManager&) = delete;

    /// Sets aside what `need` says, and returns the token of the reservation, 32 hexadecimal digits; or why it does not
    /// fit ("needs 2 GPUs, 1 free"). Of the GPUs that serve it takes those with the least memory. Who needs nothing
    /// gets a token too. A job may have several reservations.
    [[nodiscard]] tl::expected<std::string, std::string> reserve(const std::string& job, const ResourceNeed& need);
    /// Its time begins anew; false: there is no such reservation (any more). An allocation's token: true.
    bool renew(const std::string& token);
    /// What was asked for; empty: there is no such reservation (any more).
    [[nodiscard]] std::optional<ResourceNeed> need_of(const std::string& token) const;
    /// The ids of the GPUs that the job has from now on, until free(). Again with the same token is the same. An
    /// unknown token is an error; an over one too.
    [[nodiscard]] tl::expected<std::vector<std::string>, std::string> allocate(const std::string& token);
    /// Takes what a run has that lives on from before a restart of this site, whatever is free: nobody else gets it
    /// until free(). GPUs that the site does not have are left out. Again is the same.
    void restore(const std::string& job, const ResourceNeed& need, const std::vector<std::string>& gpus);
    /// Gives back a reservation; nothing for an unknown token, and for one that is allocated.
    void cancel(const std::string& token);
    /// Gives back all that the job has: allocations and reservations. Nothing when it has none.
    void free(const std::string& job);

    /// What there is, and what of it nobody has.
    [[nodiscard]] ResourceState state() const;
    /// When the next reservation is over, unless it is renewed; then on_change has something to tell. Empty: none
    /// waits.
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_expiry() const;
    /// Called after what is free has changed, without any lock, on the thread that changed it: for telling the
    /// controller. It may call everything here. Time alone calls nobody: call expire() at next_expiry().
    void on_change(std::function<void()> callback);
    /// Ends reservations whose time is over.
    void expire();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace rankexec::job
