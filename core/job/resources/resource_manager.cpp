// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/resources/resource_manager.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::job {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

/// Nobody guesses one: whoever has it may take what it stands for.
std::string random_token() {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        throw std::system_error(errno, std::generic_category(), "getrandom");
    }
    std::string token;
    for (const auto byte : bytes) {
        token += kDigits[byte >> 4U];
        token += kDigits[byte & 15U];
    }
    return token;
}

void check(const ResourceManagerOptions& options) {
    const auto require = [](bool good, const std::string& what) {
        if (!good) throw ConfigurationError(ConfigurationError::Kind::option, "resources of the site: " + what);
    };
    require(options.total.cores >= 0, "the number of cores is negative");
    require(options.total.memory_mib >= 0, "the memory is negative");
    require(options.reservation_time.count() > 0, "the time of a reservation must be more than nothing");
    std::set<std::string> ids;
    for (const auto& gpu : options.total.gpus) {
        require(!gpu.id.empty(), "a GPU has no id");
        require(ids.insert(gpu.id).second, "there are two GPUs " + gpu.id);
        require(gpu.memory_mib >= 0, "the memory of GPU " + gpu.id + " is negative");
    }
}

/// What a job has of the site, or may have.
struct Claim {
    std::string job;
    ResourceNeed need;
    std::vector<std::string> gpus;
    std::optional<TimePoint> over;  ///< none: it is allocated
};

}  // namespace

class ResourceManager::Impl {
public:
    Impl(ResourceManagerOptions options, Clock clock) : options_(std::move(options)), clock_(std::move(clock)) {
        check(options_);
        if (!clock_) clock_ = [] { return std::chrono::steady_clock::now(); };
        told_ = state_locked();
    }

    tl::expected<std::string, std::string> reserve(const std::string& job, const ResourceNeed& need) {
        const Change change(*this);
        const auto now = state_locked();
        if (auto missing = shortfall(need, now); !missing.empty()) return tl::unexpected(std::move(missing));
        auto token = random_token();
        claims_.emplace(token, Claim{job, need, choose(need, now), clock_() + options_.reservation_time});
        return token;
    }

    bool renew(const std::string& token) {
        const Change change(*this);
        const auto found = claims_.find(token);
        if (found == claims_.end()) return false;
        if (found->second.over) found->second.over = clock_() + options_.reservation_time;
        return true;
    }

    [[nodiscard]] std::optional<ResourceNeed> need_of(const std::string& token) const {
        const std::lock_guard lock(mutex_);
        const auto found = claims_.find(token);
        if (found == claims_.end() || is_over(found->second)) return std::nullopt;
        return found->second.need;
    }

    tl::expected<std::vector<std::string>, std::string> allocate(const std::string& token) {
        const Change change(*this);
        const auto found = claims_.find(token);
        if (found == claims_.end()) {
            return tl::unexpected(
                std::string("there is no reservation of this token; it was cancelled, or its time is over"));
        }
        found->second.over.reset();
        return found->second.gpus;
    }

    void restore(const std::string& job, const ResourceNeed& need, const std::vector<std::string>& gpus) {
        const Change change(*this);
        const bool there = std::ranges::any_of(claims_, [&](const auto& entry) { return entry.second.job == job; });
        if (there) return;
        Claim claim{job, need, {}, {}};
        for (const auto& gpu : options_.total.gpus) {
            if (std::ranges::find(gpus, gpu.id) != gpus.end()) claim.gpus.push_back(gpu.id);
        }
        claims_.emplace(random_token(), std::move(claim));
    }

    void cancel(const std::string& token) {
        const Change change(*this);
        const auto found = claims_.find(token);
        if (found != claims_.end() && found->second.over) claims_.erase(found);
    }

    void free(const std::string& job) {
        const Change change(*this);
        std::erase_if(claims_, [&](const auto& entry) { return entry.second.job == job; });
    }

    void expire() { const Change change(*this); }

    [[nodiscard]] ResourceState state() const {
        const std::lock_guard lock(mutex_);
        return state_locked();
    }

    [[nodiscard]] std::optional<TimePoint> next_expiry() const {
        const std::lock_guard lock(mutex_);
        std::optional<TimePoint> next;
        for (const auto& [token, claim] : claims_) {
            if (claim.over && (!next || *claim.over < *next)) next = claim.over;
        }
        return next;
    }

    void on_change(std::function<void()> callback) {
        const std::lock_guard lock(mutex_);
        on_change_ = std::make_shared<const std::function<void()>>(std::move(callback));
    }

private:
    /// Holds the lock while it lives, drops what is over first, and tells afterwards whether anything is different.
    class Change {
    public:
        explicit Change(Impl& owner) : owner_(owner), lock_(owner.mutex_), before_(owner.told_) { owner.drop_over(); }
        ~Change() {
            owner_.told_ = owner_.state_locked();
            const auto tell = owner_.told_ == before_ ? nullptr : owner_.on_change_;
            lock_.unlock();
            if (tell && *tell) (*tell)();
        }
        Change(const Change&) = delete;
        Change& operator=(const Change&) = delete;

    private:
        Impl& owner_;
        std::unique_lock<std::mutex> lock_;
        const ResourceState before_;
    };

    [[nodiscard]] bool is_over(const Claim& claim) const { return claim.over && *claim.over <= clock_(); }
    void drop_over() {
        std::erase_if(claims_, [&](const auto& entry) { return is_over(entry.second); });
    }

    [[nodiscard]] ResourceState state_locked() const {
        auto state = options_.total;
        state.free_cores = state.cores;
        state.free_memory_mib = state.memory_mib;
        for (auto& gpu : state.gpus) gpu.free = true;
        for (const auto& [token, claim] : claims_) {
            if (is_over(claim)) continue;
            state.free_cores -= claim.need.cores;
            state.free_memory_mib -= claim.need.memory_mib;
            for (auto& gpu : state.gpus) {
                if (std::ranges::find(claim.gpus, gpu.id) != claim.gpus.end()) gpu.free = false;
            }
        }
        // A run that was restored may have more than there is now.
        state.free_cores = std::max(state.free_cores, 0);
        state.free_memory_mib = std::max<std::int64_t>(state.free_memory_mib, 0);
        return state;
    }

    [[nodiscard]] static std::vector<std::string> choose(const ResourceNeed& need, const ResourceState& now) {
        std::vector<GpuState> fitting;
        for (const auto& gpu : now.gpus) {
            if (gpu.free && gpu.memory_mib >= need.gpu_memory_mib) fitting.push_back(gpu);
        }
        std::ranges::stable_sort(fitting, {}, &GpuState::memory_mib);
        std::vector<std::string> ids;
        for (int i = 0; i < need.gpus; ++i) ids.push_back(fitting[static_cast<std::size_t>(i)].id);
        return ids;
    }

    const ResourceManagerOptions options_;
    Clock clock_;
    mutable std::mutex mutex_;
    std::map<std::string, Claim> claims_;  ///< by token
    ResourceState told_;                   ///< as on_change was told last
    std::shared_ptr<const std::function<void()>> on_change_;
};

ResourceManager::ResourceManager(ResourceManagerOptions options, Clock clock)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(clock))) {}
ResourceManager::~ResourceManager() = default;

tl::expected<std::string, std::string> ResourceManager::reserve(const std::string& job, const ResourceNeed& need) {
    return impl_->reserve(job, need);
}
bool ResourceManager::renew(const std::string& token) { return impl_->renew(token); }
std::optional<ResourceNeed> ResourceManager::need_of(const std::string& token) const { return impl_->need_of(token); }
tl::expected<std::vector<std::string>, std::string> ResourceManager::allocate(const std::string& token) {
    return impl_->allocate(token);
}
void ResourceManager::restore(const std::string& job, const ResourceNeed& need, const std::vector<std::string>& gpus) {
    impl_->restore(job, need, gpus);
}
void ResourceManager::cancel(const std::string& token) { impl_->cancel(token); }
void ResourceManager::free(const std::string& job) { impl_->free(job); }
ResourceState ResourceManager::state() const { return impl_->state(); }
std::optional<TimePoint> ResourceManager::next_expiry() const { return impl_->next_expiry(); }
void ResourceManager::on_change(std::function<void()> callback) { impl_->on_change(std::move(callback)); }
void ResourceManager::expire() { impl_->expire(); }

}  // namespace rankexec::job
