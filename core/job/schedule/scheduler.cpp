// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/schedule/scheduler.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/schedule/site_view.hpp"

namespace rankexec::job {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kScheduled = "scheduled on ";
/// A store that has failed is asked again after this.
constexpr milliseconds kAfterTrouble{1000};

void check(const SchedulerOptions& options, const Scheduler::Hooks& hooks) {
    const auto require = [](bool good, const std::string& what) {
        if (!good) throw ConfigurationError(ConfigurationError::Kind::option, "scheduler: " + what);
    };
    require(options.max_jobs >= 1, "max_jobs must be at least 1");
    require(options.max_attempts >= 1, "max_attempts must be at least 1");
    require(options.first_backoff.count() >= 1, "first_backoff must be at least a second");
    require(options.longest_backoff >= options.first_backoff, "longest_backoff is shorter than first_backoff");
    require(options.tries_per_pass >= 1, "tries_per_pass must be at least 1");
    require(static_cast<bool>(hooks.definition_of), "the hook definition_of is missing");
}

/// The job's record keeps the whole list; here it is for people, and kept with every attempt.
std::string scheduled_on(const std::map<std::string, std::string>& tokens) {
    constexpr std::size_t kMostNamed = 8;
    std::string text(kScheduled);
    std::size_t named = 0;
    for (const auto& [site, token] : tokens) {
        if (named == kMostNamed) return text + " and " + std::to_string(tokens.size() - named) + " more";
        text += (named++ == 0 ? "" : ", ") + site;
    }
    return text;
}

bool waits(JobStatus status) { return status == JobStatus::submitted || status == JobStatus::approved; }

std::string seconds_of(milliseconds time) {
    const auto whole = std::chrono::ceil<std::chrono::seconds>(std::max(time, milliseconds(0)));
    return std::to_string(whole.count()) + " s";
}

}  // namespace

class Scheduler::Impl {
public:
    Impl(SchedulerOptions options, JobStore& store, SitePool& pool, Hooks hooks)
        : options_(options), store_(store), pool_(pool), hooks_(std::move(hooks)) {
        check(options_, hooks_);
        if (!hooks_.clock) hooks_.clock = wall_now;
    }

    Pass pass();

    void hold(const std::string& job) {
        const std::lock_guard lock(mutex_);
        holders_.insert(job);
    }
    void release(const std::string& job) {
        const std::lock_guard lock(mutex_);
        holders_.erase(job);
    }
    [[nodiscard]] std::vector<std::string> holders() const {
        const std::lock_guard lock(mutex_);
        return {holders_.begin(), holders_.end()};
    }
    [[nodiscard]] std::string explain(const JobRecord& job) const;

private:
    /// What a pass remembers of a job that waits.
    struct Waiting {
        std::shared_ptr<const JobDefinition> definition;  ///< nullptr: not asked for yet
        Targets targets;
        bool lacked = false;  ///< sites or resources, at its last attempt
        int looked_at = -1;   ///< generation of the sites at which could_run() was last asked
        bool placed = false;  ///< once, by this scheduler
        bool seen = false;    ///< in the pass that is under way
    };
    /// Why an attempt has failed.
    struct Shortage {
        std::string reason;
        bool for_good = false;
        bool lacked = false;  ///< sites or resources, by what is known here
    };

    [[nodiscard]] milliseconds backoff(int attempts) const {
        const auto doublings = std::clamp(attempts - 1, 0, 30);
        return std::min<milliseconds>(options_.longest_backoff,
                                      options_.first_backoff * (std::int64_t{1} << doublings));
    }
    /// When the next attempt is due. A clock that was set back makes it earlier, never later.
    [[nodiscard]] WallTime due(const JobRecord& job, WallTime now, bool placed_here) const {
        if (job.attempts.empty()) return now;
        const auto& last = job.attempts.back();
        // Another controller had placed it, and was gone before it ran.
        const bool interrupted = last.outcome.starts_with(kScheduled) && !placed_here;
        if (interrupted || last.at > now) return now;
        return last.at + backoff(job.attempt_count);
    }

    [[nodiscard]] bool has_slot() const {
        const std::lock_guard lock(mutex_);
        return std::cmp_less(holders_.size(), options_.max_jobs);
    }
    [[nodiscard]] bool holds(const std::string& job) const {
        const std::lock_guard lock(mutex_);
        return holders_.contains(job);
    }

    void look_at_sites(const std::vector<SitePool::Site>& sites);
    [[nodiscard]] bool worth_an_early_try(Waiting& waiting, const SiteView& view) const;
    [[nodiscard]] std::optional<Shortage> define(const JobRecord& job, Waiting& waiting);
    [[nodiscard]] std::optional<Shortage> check_before_asking(const JobRecord& job, const Waiting& waiting,
                                                              const SiteView& view) const;
    using Reserved = tl::expected<std::map<std::string, std::string>, Shortage>;
    [[nodiscard]] Reserved reserve(const JobRecord& job, const Waiting& waiting, SiteView& view);
    enum class Tried : std::uint8_t { placed, waits, gone, store_failed };
    Tried attempt(const JobRecord& job, Waiting& waiting, SiteView& view, WallTime now, Pass& result);
    Tried place(const JobRecord& job, Waiting& waiting, std::map<std::string, std::string> tokens, WallTime now,
                Pass& result);
    Tried fail(const JobRecord& job, const Shortage& shortage, WallTime now, Pass& result);
    [[nodiscard]] static Tried refused(const StoreError& error, Pass& result);
    void forget_the_others();

    const SchedulerOptions options_;
    JobStore& store_;
    SitePool& pool_;
    Hooks hooks_;

    // Of pass() alone.
    SiteNumbers numbers_;
    std::vector<SitePool::Site> last_sites_;
    int generation_ = 0;  ///< of what the sites have reported
    std::unordered_map<std::string, Waiting> waiting_;

    mutable std::mutex mutex_;
    std::set<std::string> holders_;
    bool no_site_ = false;  ///< at the last pass
};

void Scheduler::Impl::look_at_sites(const std::vector<SitePool::Site>& sites) {
    const auto same = [](const SitePool::Site& left, const SitePool::Site& right) {
        return left.name == right.name && left.resources == right.resources;
    };
    if (!std::ranges::equal(sites, last_sites_, same)) {
        last_sites_ = sites;
        ++generation_;
    }
    const std::lock_guard lock(mutex_);
    no_site_ = sites.empty();
}

bool Scheduler::Impl::worth_an_early_try(Waiting& waiting, const SiteView& view) const {
    if (!waiting.lacked || !waiting.definition || waiting.looked_at == generation_) return false;
    waiting.looked_at = generation_;
    return view.could_run(waiting.targets);
}

Scheduler::Pass Scheduler::Impl::pass() {
    Pass result;
    if (!has_slot()) return result;
    auto sites = pool_.connected();
    look_at_sites(sites);
    if (sites.empty()) return result;
    auto jobs = store_.list({JobStatus::submitted, JobStatus::approved});
    if (!jobs) {
        result.trouble = jobs.error();
        result.wake_in = kAfterTrouble;
        return result;
    }
    std::ranges::stable_sort(*jobs, {}, &JobRecord::submitted_at);
    SiteView view(std::move(sites), numbers_);
    for (const auto& job : *jobs) waiting_[job.id].seen = true;
    forget_the_others();

    const auto now = hooks_.clock();
    int tries = 0;
    for (const auto& job : *jobs) {
        if (!has_slot()) {
            result.wake_in.reset();
            break;
        }
        if (holds(job.id)) continue;
        auto& waiting = waiting_[job.id];
        auto wait = due(job, now, waiting.placed) - now;
        if (wait <= milliseconds(0) || worth_an_early_try(waiting, view)) {
            if (tries++ == options_.tries_per_pass) {
                result.wake_in = milliseconds(0);
                break;
            }
            const auto tried = attempt(job, waiting, view, now, result);
            if (tried == Tried::store_failed) {
                result.wake_in = kAfterTrouble;
                break;
            }
            if (tried != Tried::waits) continue;
            wait = backoff(job.attempt_count + 1);
        }
        if (!result.wake_in || *result.wake_in > wait) result.wake_in = wait;
    }
    return result;
}

void Scheduler::Impl::forget_the_others() {
    for (auto entry = waiting_.begin(); entry != waiting_.end();) {
        const bool waits = std::exchange(entry->second.seen, false);
        entry = waits ? std::next(entry) : waiting_.erase(entry);
    }
}

Scheduler::Impl::Tried Scheduler::Impl::attempt(const JobRecord& job, Waiting& waiting, SiteView& view, WallTime now,
                                                Pass& result) {
    auto shortage = define(job, waiting);
    if (!shortage) shortage = check_before_asking(job, waiting, view);
    if (!shortage) {
        auto reserved = reserve(job, waiting, view);
        if (reserved) return place(job, waiting, std::move(*reserved), now, result);
        shortage = std::move(reserved.error());
    }
    waiting.lacked = shortage->lacked;
    waiting.looked_at = generation_;
    return fail(job, *shortage, now, result);
}

std::optional<Scheduler::Impl::Shortage> Scheduler::Impl::define(const JobRecord& job, Waiting& waiting) {
    if (waiting.definition) return std::nullopt;
    try {
        auto definition = std::make_shared<const JobDefinition>(hooks_.definition_of(job));
        if (definition->parts.empty()) return Shortage{"the job names no site for any part of it", true};
        waiting.targets = targets_of(*definition, numbers_);
        waiting.definition = std::move(definition);
        return std::nullopt;
    } catch (const ConfigurationError& error) {
        return Shortage{error.what(), true};
    } catch (const std::exception& error) {
        return Shortage{std::string("its definition cannot be read: ") + error.what()};
    }
}

std::optional<Scheduler::Impl::Shortage> Scheduler::Impl::check_before_asking(const JobRecord& job,
                                                                              const Waiting& waiting,
                                                                              const SiteView& view) const {
    if (auto lacks = view.lacks_sites(waiting.targets); !lacks.empty()) return Shortage{std::move(lacks), false, true};
    if (hooks_.before_check) {
        if (auto veto = hooks_.before_check(job, *waiting.definition)) {
            return Shortage{"it is not allowed to run: " + veto->reason, veto->for_good};
        }
    }
    if (auto never = view.never_fits(waiting.targets); !never.empty()) {
        return Shortage{"it can never run: it " + never, true};
    }
    if (auto lacks = view.lacks_resources(waiting.targets); !lacks.empty()) {
        return Shortage{std::move(lacks), false, true};
    }
    return std::nullopt;
}

Scheduler::Impl::Reserved Scheduler::Impl::reserve(const JobRecord& job, const Waiting& waiting, SiteView& view) {
    const auto questions = view.questions(waiting.targets);
    const auto answers = pool_.reserve(job.id, questions);
    std::map<std::string, std::string> tokens;
    std::vector<std::string> refusals;
    bool required_refuses = false;
    for (const auto& question : questions) {
        const auto answer = answers.find(question.site);
        if (answer != answers.end() && answer->second) {
            tokens.emplace(question.site, *answer->second);
            continue;
        }
        const auto why = answer == answers.end() ? std::string("it has not answered") : answer->second.error();
        const bool required = std::ranges::find(waiting.targets.required, question.site, &Targets::Named::name) !=
                              waiting.targets.required.end();
        required_refuses = required_refuses || required;
        refusals.insert(required ? refusals.begin() : refusals.end(), at_site(why, question.site));
    }
    if (!required_refuses && tokens.size() >= waiting.targets.min_sites) {
        for (const auto& question : questions) {
            if (tokens.contains(question.site)) view.take(question);
        }
        return tokens;
    }
    for (const auto& [site, token] : tokens) pool_.cancel(site, token);
    return tl::unexpected(Shortage{joined(refusals)});
}

Scheduler::Impl::Tried Scheduler::Impl::place(const JobRecord& job, Waiting& waiting,
                                              std::map<std::string, std::string> tokens, WallTime now, Pass& result) {
    const auto outcome = scheduled_on(tokens);
    const auto counted = store_.add_attempt(job.id, {now, outcome});
    if (!counted) {
        for (const auto& [site, token] : tokens) pool_.cancel(site, token);
        return refused(counted.error(), result);
    }
    hold(job.id);
    waiting.placed = true;
    Placement placement{job, waiting.definition, std::move(tokens)};
    placement.job.attempts.push_back({now, outcome});
    ++placement.job.attempt_count;
    placement.job.reason = outcome;
    result.placements.push_back(std::move(placement));
    return Tried::placed;
}

Scheduler::Impl::Tried Scheduler::Impl::fail(const JobRecord& job, const Shortage& shortage, WallTime now,
                                             Pass& result) {
    const auto counted = store_.add_attempt(job.id, {now, shortage.reason});
    if (!counted) return refused(counted.error(), result);
    const bool last = job.attempt_count + 1 >= options_.max_attempts;
    if (!shortage.for_good && !last) return Tried::waits;
    StatusChange change;
    change.from = {JobStatus::submitted, JobStatus::approved};
    change.to = JobStatus::cannot_schedule;
    change.reason = shortage.for_good ? shortage.reason
                                      : "all " + std::to_string(options_.max_attempts) +
                                            " attempts are used up; the last: " + shortage.reason;
    auto changed = store_.change_status(job.id, change);
    if (!changed) return refused(changed.error(), result);
    result.given_up.push_back(std::move(*changed));
    return Tried::gone;
}

/// Aborted or deleted meanwhile, or the store is broken.
Scheduler::Impl::Tried Scheduler::Impl::refused(const StoreError& error, Pass& result) {
    if (error.kind != StoreError::Kind::unusable) return Tried::gone;
    result.trouble = error;
    return Tried::store_failed;
}

std::string Scheduler::Impl::explain(const JobRecord& job) const {
    if (!waits(job.status)) return job.reason;
    const auto now = hooks_.clock();
    std::string text;
    {
        const std::lock_guard lock(mutex_);
        if (holders_.contains(job.id)) return job.reason;
        if (no_site_) {
            text = "waits for sites: none is connected";
        } else if (std::cmp_greater_equal(holders_.size(), options_.max_jobs)) {
            text = "waits for a slot: " + std::to_string(holders_.size()) + " of " + std::to_string(options_.max_jobs) +
                   (options_.max_jobs == 1 ? " is held" : " are held");
        }
    }
    if (job.attempts.empty()) return text.empty() ? "waits for its turn" : text;
    const auto attempt =
        "attempt " + std::to_string(job.attempt_count) + " of " + std::to_string(options_.max_attempts);
    if (!text.empty()) return text + "; before that: " + job.reason + ", " + attempt;
    return job.reason + ", " + attempt + ", next in " + seconds_of(due(job, now, true) - now);
}

Scheduler::Scheduler(SchedulerOptions options, JobStore& store, SitePool& pool, Hooks hooks)
    : impl_(std::make_unique<Impl>(options, store, pool, std::move(hooks))) {}
Scheduler::~Scheduler() = default;

Scheduler::Pass Scheduler::pass() { return impl_->pass(); }
void Scheduler::hold(const std::string& job) { impl_->hold(job); }
void Scheduler::release(const std::string& job) { impl_->release(job); }
std::vector<std::string> Scheduler::holders() const { return impl_->holders(); }
std::string Scheduler::explain(const JobRecord& job) const { return impl_->explain(job); }

}  // namespace rankexec::job
