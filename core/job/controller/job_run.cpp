// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/job_run.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec::job {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr std::size_t kSiteLogBytes = std::size_t{256} << 10U;
constexpr const char* kLeftOut = "left out";

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

JobRun::JobRun(JobRunPorts& ports, const JobRunOptions& options, JobRecord record, JobDefinition definition,
               std::vector<Seat> seats, bool restored)
    : ports_(ports),
      options_(options),
      record_(std::move(record)),
      definition_(std::move(definition)),
      seats_(std::move(seats)),
      restored_(restored) {
    // What was left out before the restart is in the job's record, and has something to forget when the job is over.
    if (restored_) deploy_detail_ = record_.deploy_detail;
    for (const auto& seat : seats_) set_state(seat.site, "waiting");
}

void JobRun::run() {
    const auto go = [this]() -> Step {
        if (restored_) return restore();
        if (auto done = deploy(); !done) return done;
        return start();
    };
    auto begun = go();
    auto verdict = begun ? watch() : std::move(begun.error());
    {
        const std::lock_guard lock(mutex_);
        if (detached_) return;
    }
    finish(verdict);
}

// ---- deploy -----------------------------------------------------------------------------------

JobRun::Step JobRun::enter(JobStatus to, std::vector<JobStatus> from, std::string reason) {
    StatusChange change;
    change.from = std::move(from);
    change.to = to;
    change.reason = std::move(reason);
    change.deploy_detail = deploy_detail_;
    change.sites = site_names();
    auto changed = ports_.store.change_status(record_.id, change);
    if (changed) {
        record_ = std::move(*changed);
        return {};
    }
    // Somebody was faster: an abort, mostly. Their status stays.
    return tl::unexpected(Verdict{changed.error().status.value_or(JobStatus::failed_to_run), changed.error().message});
}

JobRun::Step JobRun::deploy() {
    const auto now = ports_.store.get(record_.id);
    if (!now) return tl::unexpected(Verdict{JobStatus::failed_to_run, now.error().message});
    record_ = *now;
    if (record_.status != JobStatus::submitted && record_.status != JobStatus::approved) {
        return tl::unexpected(Verdict{record_.status, record_.reason});
    }
    say(job_event::kDeployToServer, "");
    std::error_code ignored;
    fs::remove_all(workspace(), ignored);
    if (const auto unpacked = ports_.unpack(record_.id, workspace()); !unpacked) {
        deploy_detail_.push_back({kControllerParticipant, false, unpacked.error()});
        return tl::unexpected(
            Verdict{JobStatus::failed_to_run, "the bundle cannot be deployed to the controller: " + unpacked.error()});
    }
    deploy_detail_.push_back({kControllerParticipant, true, {}});
    if (auto done = deploy_to_sites(); !done) return done;
    if (auto done = enter(JobStatus::dispatched, {JobStatus::submitted, JobStatus::approved},
                          "deployed to " + joined(site_names()));
        !done) {
        return done;
    }
    say(job_event::kDeployed, joined(site_names()));
    return {};
}

JobRun::Step JobRun::deploy_to_sites() {
    say(job_event::kDeployToClient, joined(site_names()));
    std::vector<Sites::Order> orders;
    for (const auto& seat : seats_) {
        orders.push_back({seat.site, seat.token, {}});
        set_state(seat.site, "deploying");
    }
    touched_sites_ = true;
    const auto outcomes = ports_.sites.deploy(record_.id, orders, options_.deploy_timeout);
    for (const auto& order : orders) {
        const auto found = outcomes.find(order.site);
        const auto done = found == outcomes.end() ? tl::unexpected(std::string("no answer")) : found->second;
        deploy_detail_.push_back({order.site, done.has_value(), done ? std::string() : done.error()});
        if (!done) drop(order.site, "not deployed: " + done.error());
    }
    return enough("deploy");
}

/// Leaves the site out; whether the job can do without it, enough() says.
void JobRun::drop(const std::string& site, const std::string& why) {
    std::erase_if(seats_, [&](const Seat& seat) { return seat.site == site; });
    {
        const std::lock_guard lock(mutex_);
        participants_[site] = {site, kLeftOut, why};
        // A site that could not start its part may have said before that it has ended: it would be missed twice.
        site_ends_.erase(site);
        away_since_.erase(site);
    }
    say(job_event::kSiteLeftOut, site + ": " + why);
    if (controller_started_) ports_.tell_site_lost(record_.id, site, why, true);
}

JobRun::Step JobRun::enough(const std::string& doing) {
    if (auto over = interrupted()) return tl::unexpected(std::move(*over));
    const auto names = site_names();
    std::string why;
    for (const auto& participant : participants()) {
        if (participant.state != kLeftOut) continue;
        why += (why.empty() ? "" : "; ") + participant.name + ": " + participant.detail;
    }
    for (const auto& required : definition_.required_sites) {
        if (std::ranges::find(names, required) != names.end()) continue;
        return tl::unexpected(Verdict{JobStatus::failed_to_run,
                                      "the required site " + required + " did not " + doing + " (" + why + ")"});
    }
    if (std::cmp_less(names.size(), definition_.min_sites)) {
        return tl::unexpected(Verdict{JobStatus::failed_to_run,
                                      std::to_string(names.size()) + " sites could " + doing + ", the job needs " +
                                          std::to_string(definition_.min_sites) + " (" + why + ")"});
    }
    return {};
}

// ---- start ------------------------------------------------------------------------------------

PartSetup JobRun::setup_for(const std::string& participant) const {
    PartSetup setup;
    setup.job = record_.id;
    setup.job_name = record_.name;
    setup.participant = participant;
    setup.incarnation = record_.incarnation;
    setup.sites = site_names();
    setup.min_sites = definition_.min_sites;
    setup.bundle_code = options_.bundle_code;
    setup.controller_gone_after = options_.controller_gone_after;
    if (participant == kControllerParticipant) {
        setup.workspace = workspace().string();
        setup.results = (workspace() / "results").string();
    } else if (const auto* part = definition_.part_of(participant); part != nullptr) {
        setup.folder = part->folder;
    }
    ports_.admit(setup);
    return setup;
}

JobRun::Step JobRun::start() {
    if (auto over = interrupted()) return tl::unexpected(std::move(*over));
    if (auto done = start_controller_part(); !done) return done;
    if (auto done = start_sites(); !done) return done;
    if (auto done = enter(JobStatus::running, {JobStatus::dispatched}, "runs at " + joined(site_names())); !done) {
        return done;
    }
    say(job_event::kStarted, joined(site_names()));
    return {};
}

JobRun::Step JobRun::start_controller_part() {
    const auto incarnation = ports_.store.next_incarnation(record_.id);
    if (!incarnation) return tl::unexpected(Verdict{JobStatus::failed_to_run, incarnation.error().message});
    record_.incarnation = *incarnation;
    std::error_code error;
    fs::create_directories(workspace() / "results", error);
    RunSpec spec;
    spec.job = record_.id;
    spec.participant = kControllerParticipant;
    spec.token = record_.id;
    spec.command = ports_.command;
    spec.environment = {std::string(kPartVariable) + "=" + setup_for(kControllerParticipant).to_text()};
    spec.directory = workspace();
    spec.log = workspace() / "controller.log";
    set_state(kControllerParticipant, "starting");
    {
        const std::lock_guard lock(mutex_);
        controller_end_.reset();
    }
    if (const auto started = ports_.parts.start(spec); !started) {
        set_state(kControllerParticipant, "not started", started.error().message);
        return tl::unexpected(
            Verdict{JobStatus::failed_to_run, "the controller part could not be started: " + started.error().message});
    }
    controller_started_ = true;
    set_state(kControllerParticipant, "running");
    return {};
}

JobRun::Step JobRun::start_sites() {
    std::vector<Sites::Order> orders;
    for (const auto& seat : seats_) {
        orders.push_back({seat.site, seat.token, setup_for(seat.site).to_text()});
        set_state(seat.site, "starting");
    }
    const auto outcomes = ports_.sites.start(record_.id, record_.id, orders, options_.start_timeout);
    for (const auto& order : orders) {
        const auto found = outcomes.find(order.site);
        const auto done = found == outcomes.end() ? tl::unexpected(std::string("no answer")) : found->second;
        if (done) {
            set_state(order.site, "running");
        } else {
            drop(order.site, "not started: " + done.error());
        }
    }
    return enough("start");
}

// ---- after a restart of the controller --------------------------------------------------------

JobRun::Step JobRun::restore() {
    say(job_event::kRestored, joined(site_names()));
    touched_sites_ = true;
    if (auto kept = kept_verdict()) return tl::unexpected(std::move(*kept));
    std::error_code error;
    if (!fs::is_directory(workspace(), error)) {
        if (const auto unpacked = ports_.unpack(record_.id, workspace()); !unpacked) {
            return tl::unexpected(
                Verdict{JobStatus::abandoned, "its workspace is lost, and cannot be made again: " + unpacked.error()});
        }
    }
    // Sites come back by themselves: they connect to the new controller.
    const auto deadline = Clock::now() + options_.site_return_timeout;
    const auto all_there = [this] {
        return std::ranges::all_of(seats_, [this](const Seat& seat) { return ports_.sites.is_connected(seat.site); });
    };
    {
        std::unique_lock lock(mutex_);
        while (!abort_ && !detached_ && Clock::now() < deadline) {
            lock.unlock();
            const bool there = all_there();
            lock.lock();
            if (there) break;
            changed_.wait_until(lock, deadline);
        }
    }
    if (auto over = interrupted()) return tl::unexpected(std::move(*over));
    // Parts that still live are taken over as they are; those that were never started are.
    std::vector<Seat> to_start;
    for (const auto& seat : std::vector<Seat>(seats_)) {
        const auto part = ports_.sites.part(seat.site, record_.id, options_.start_timeout);
        if (part && part->stage == PartState::Stage::running) {
            (void)setup_for(seat.site);
            set_state(seat.site, "running", "taken over");
        } else if (part && part->stage == PartState::Stage::ended) {
            on_site_part_end(seat.site, part->kind, part->detail);
        } else if (part && record_.status == JobStatus::dispatched) {
            to_start.push_back(seat);
        } else {
            on_site_part_end(seat.site, "killed",
                             part ? "the site was restarted, and no longer has its part" : part.error());
        }
    }
    if (auto few = too_few_sites()) return tl::unexpected(std::move(*few));
    if (auto done = start_controller_part(); !done) return done;
    if (!to_start.empty()) {
        std::vector<SitePool::Question> questions;
        for (const auto& seat : to_start) {
            const auto* part = definition_.part_of(seat.site);
            questions.push_back({seat.site, part == nullptr ? ResourceNeed{} : part->need});
        }
        auto answers = ports_.sites.reserve(record_.id, questions);
        std::vector<Sites::Order> orders;
        for (const auto& seat : to_start) {
            if (const auto& answer = answers[seat.site]; answer) {
                orders.push_back({seat.site, *answer, setup_for(seat.site).to_text()});
            } else {
                drop(seat.site, answer.error());
            }
        }
        const auto deployed = ports_.sites.deploy(record_.id, orders, options_.deploy_timeout);
        std::erase_if(orders, [&](const Sites::Order& order) {
            const auto found = deployed.find(order.site);
            const bool ok = found != deployed.end() && found->second.has_value();
            if (!ok) drop(order.site, found == deployed.end() ? "no answer" : found->second.error());
            return !ok;
        });
        const auto started = ports_.sites.start(record_.id, record_.id, orders, options_.start_timeout);
        for (const auto& order : orders) {
            const auto found = started.find(order.site);
            if (found != started.end() && found->second) {
                set_state(order.site, "running");
            } else {
                drop(order.site, found == started.end() ? "no answer" : found->second.error());
            }
        }
        if (auto done = enough("start"); !done) return done;
    }
    if (record_.status != JobStatus::dispatched) return {};
    if (auto done = enter(JobStatus::running, {JobStatus::dispatched}, "runs at " + joined(site_names())); !done) {
        return done;
    }
    say(job_event::kStarted, joined(site_names()));
    return {};
}

// ---- watch ------------------------------------------------------------------------------------

std::optional<JobRun::Verdict> JobRun::interrupted() {
    const std::lock_guard lock(mutex_);
    if (abort_) return Verdict{JobStatus::aborted, *abort_};
    if (detached_) return Verdict{JobStatus::abandoned, "the controller is being ended"};
    return std::nullopt;
}

/// Whether what has become of the sites' parts decides the job: too few are left for it.
std::optional<JobRun::Verdict> JobRun::too_few_sites() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> gone;
    std::string why;
    bool reported = false;
    for (const auto& [site, end] : site_ends_) {
        // Who is done has done its part: whether that was enough, the controller part decides.
        if (end.kind == "success") continue;
        // Who was left out is missed already.
        if (std::ranges::find(seats_, site, &Seat::site) == seats_.end()) continue;
        gone.push_back(site);
        why += (why.empty() ? "" : "; ") + site + ": " + end.detail;
        reported = reported || end.kind == "failure";
    }
    if (gone.empty()) return std::nullopt;
    const auto status = reported ? JobStatus::execution_exception : JobStatus::abnormal;
    for (const auto& required : definition_.required_sites) {
        if (std::ranges::find(gone, required) == gone.end()) continue;
        return Verdict{status, "the part of the required site " + required + " has ended (" + why + ")"};
    }
    const auto left = static_cast<int>(seats_.size()) - static_cast<int>(gone.size());
    if (left >= definition_.min_sites) return std::nullopt;
    return Verdict{status, "the parts of " + joined(gone) + " have ended, and the job needs " +
                               std::to_string(definition_.min_sites) + " sites (" + why + ")"};
}

JobRun::Verdict JobRun::watch() {
    while (true) {
        if (auto over = interrupted()) return *over;
        {
            const std::lock_guard lock(mutex_);
            if (controller_end_) return verdict_of(*controller_end_);
        }
        // Sites that were away for too long count as ended.
        std::vector<std::string> given_up;
        auto next = Clock::time_point::max();
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [site, since] : away_since_) {
                const auto until = since + options_.site_return_timeout;
                if (site_ends_.contains(site)) continue;
                if (until <= Clock::now()) {
                    given_up.push_back(site);
                } else {
                    next = std::min(next, until);
                }
            }
        }
        for (const auto& site : given_up) {
            on_site_part_end(site, "killed", "the site is lost, and has not come back");
            ports_.tell_site_lost(record_.id, site, "the site is lost, and has not come back", true);
        }
        if (auto few = too_few_sites()) return *few;
        std::unique_lock lock(mutex_);
        const auto woken = [&] { return abort_ || detached_ || controller_end_ || !told_.empty(); };
        if (next == Clock::time_point::max()) {
            changed_.wait(lock, woken);
        } else {
            changed_.wait_until(lock, next, woken);
        }
        told_.clear();
    }
}

JobRun::Verdict JobRun::verdict_of(const RunEnd& end) const {
    const auto said = report_.empty() ? end.detail : report_;
    // Its exit code says how it ended by its own account, whether or not its report has come.
    const auto outcome = end.exit && !end.exit->signalled ? part_outcome_from(end.exit->number) : std::nullopt;
    if (outcome == PartOutcome::aborted) return {JobStatus::aborted, said};
    switch (end.kind) {
        case RunEnd::Kind::success: return {JobStatus::completed, "completed"};
        case RunEnd::Kind::failure: return {JobStatus::execution_exception, said};
        case RunEnd::Kind::killed:
            return report_.empty() ? Verdict{JobStatus::abnormal, "the controller part was killed: " + end.detail}
                                   : Verdict{JobStatus::execution_exception, report_};
        case RunEnd::Kind::stopped: return {JobStatus::aborted, said};
        case RunEnd::Kind::backend_failed: return {JobStatus::abnormal, "the controller part is lost: " + end.detail};
    }
    return {JobStatus::abnormal, end.detail};
}

// ---- the end ----------------------------------------------------------------------------------

void JobRun::stop_parts(const std::string& reason, bool done) {
    if (touched_sites_) {
        std::vector<std::string> living;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& seat : seats_) {
                if (!site_ends_.contains(seat.site)) living.push_back(seat.site);
            }
        }
        // After a success the controller part has told them, and they are about to end by themselves.
        for (const auto& site : living) {
            if (!done) (void)ports_.tell_to_end(record_.id, site, reason);
        }
        // A site that does not obey is given the time for force, too.
        ports_.sites.abort(record_.id, living, reason, 2 * options_.abort_timeout);
    }
    if (!controller_started_) return;
    std::unique_lock lock(mutex_);
    const auto ended = [this] { return controller_end_.has_value(); };
    if (ended()) return;
    lock.unlock();
    const bool told = ports_.tell_to_end(record_.id, kControllerParticipant, reason);
    lock.lock();
    if (told && changed_.wait_for(lock, options_.abort_timeout, ended)) return;
    lock.unlock();
    ports_.parts.stop(record_.id);
    lock.lock();
    changed_.wait(lock, ended);
}

/// Nothing: it is saved, or there is none.
std::optional<std::string> JobRun::save_workspace() {
    std::error_code error;
    if (!fs::is_directory(workspace(), error)) return std::nullopt;
    for (const auto& seat : seats_) {
        const auto tail = ports_.sites.log_tail(seat.site, record_.id, kSiteLogBytes, options_.abort_timeout);
        if (tail.empty()) continue;
        std::ofstream(workspace() / (seat.site + ".log"), std::ios::binary) << tail;
    }
    const auto archive = options_.folder / (record_.id + ".tar.gz");
    std::optional<std::string> trouble;
    if (const auto packed = ports_.archive(workspace(), archive); !packed) {
        trouble = packed.error();
    } else if (const auto saved = ports_.store.save_workspace(record_.id, archive); !saved) {
        trouble = saved.error().message;
    }
    fs::remove(archive, error);
    return trouble;
}

/// What has a final status already keeps it: it was aborted meanwhile. An error: the store did not take it.
tl::expected<void, std::string> JobRun::record(const Verdict& verdict) {
    StatusChange change;
    change.to = verdict.status;
    change.reason = verdict.reason;
    change.deploy_detail = deploy_detail_;
    const auto now = ports_.store.get(record_.id);
    if (now && is_final(now->status)) return {};
    if (now && !may_follow(now->status, change.to)) {
        // A job that was never running has no other failure than this.
        change.to = JobStatus::failed_to_run;
    }
    change.from = {JobStatus::submitted, JobStatus::approved, JobStatus::dispatched, JobStatus::running};
    const auto changed = ports_.store.change_status(record_.id, change);
    if (!changed && changed.error().kind == StoreError::Kind::unusable) return tl::unexpected(changed.error().message);
    return {};
}

/// Keeps what the job has left, and then its end. As long as the store does not take the end, the job has none: a disk
/// that is full for a while must not leave a job behind that never ends, or that the next controller runs again. False:
/// this process ends before that.
bool JobRun::settle(const Verdict& verdict) {
    auto unsaved = save_workspace();
    auto recorded = record(verdict);
    if (!recorded) {
        log::error("job " + record_.id + ": " + std::string(to_string(verdict.status)) +
                   " cannot be recorded yet: " + recorded.error());
    }
    while (!recorded) {
        {
            std::unique_lock lock(mutex_);
            if (changed_.wait_for(lock, options_.store_pause, [this] { return detached_; })) return false;
        }
        keep(verdict);
        if (unsaved) unsaved = save_workspace();
        recorded = record(verdict);
    }
    if (unsaved) {
        log::error("job " + record_.id + ": its workspace cannot be archived: " + *unsaved);
        say(job_event::kNotArchived, *unsaved);
    }
    return true;
}

/// From now on the job is over, whatever becomes of this process: its controller part must not begin again.
void JobRun::keep(const Verdict& verdict) const {
    const auto fresh = verdict_file().string() + ".new";
    std::ofstream file(fresh, std::ios::binary);
    file << to_string(verdict.status) << "\n" << verdict.reason;
    file.close();
    std::error_code error;
    if (!file) {  // the disk is full: settle() comes back to it
        fs::remove(fresh, error);
        return;
    }
    fs::rename(fresh, verdict_file(), error);
    if (error) log::warning("job " + record_.id + ": " + verdict_file().string() + ": " + error.message());
}

std::optional<JobRun::Verdict> JobRun::kept_verdict() const {
    std::ifstream file(verdict_file(), std::ios::binary);
    std::string word;
    if (!std::getline(file, word)) return std::nullopt;
    const auto status = job_status_from(word);
    if (!status) return std::nullopt;
    return Verdict{*status, std::string(std::istreambuf_iterator<char>(file), {})};
}

void JobRun::finish(const Verdict& verdict) {
    keep(verdict);
    const bool done = verdict.status == JobStatus::completed;
    stop_parts(done ? "the job is done" : verdict.reason, done);
    if (!settle(verdict)) return;
    if (touched_sites_) {
        std::vector<std::string> all;
        for (const auto& outcome : deploy_detail_) {
            if (outcome.participant != kControllerParticipant) all.push_back(outcome.participant);
        }
        for (const auto& site : record_.sites) all.push_back(site);
        for (const auto& seat : seats_) all.push_back(seat.site);
        std::ranges::sort(all);
        const auto repeated = std::ranges::unique(all);
        all.erase(repeated.begin(), repeated.end());
        ports_.sites.forget(record_.id, all, options_.abort_timeout);
    } else {
        for (const auto& seat : seats_) ports_.sites.cancel(seat.site, seat.token);
    }
    ports_.dismiss(record_.id);
    std::error_code ignored;
    fs::remove_all(workspace(), ignored);
    fs::remove(verdict_file(), ignored);
    // That it was aborted has been said by whoever aborted it.
    say(verdict.status == JobStatus::failed_to_run ? job_event::kAborted : job_event::kCompleted, verdict.reason);
}

// ---- what is told from elsewhere --------------------------------------------------------------

void JobRun::abort(const std::string& reason) {
    const std::lock_guard lock(mutex_);
    if (!abort_) abort_ = reason;
    changed_.notify_all();
}

void JobRun::detach() {
    const std::lock_guard lock(mutex_);
    detached_ = true;
    changed_.notify_all();
}

void JobRun::on_controller_part_end(const RunEnd& end) {
    const std::lock_guard lock(mutex_);
    controller_end_ = end;
    participants_[kControllerParticipant] = {kControllerParticipant, "ended", end.detail};
    changed_.notify_all();
}

void JobRun::on_report(const std::string& failure) {
    const std::lock_guard lock(mutex_);
    report_ = failure;
}

void JobRun::on_site_part_end(const std::string& site, const std::string& kind, const std::string& detail) {
    const std::lock_guard lock(mutex_);
    if (!takes_part(site) || !site_ends_.try_emplace(site, SiteEnd{kind, detail}).second) return;
    participants_[site] = {site, "ended", detail.empty() ? kind : detail};
    told_.push_back(site);
    changed_.notify_all();
}

void JobRun::on_site_connected(const std::string& site) {
    const std::lock_guard lock(mutex_);
    away_since_.erase(site);
    told_.push_back(site);
    changed_.notify_all();
}

void JobRun::on_site_lost(const std::string& site) {
    const std::lock_guard lock(mutex_);
    if (!takes_part(site)) return;
    away_since_.try_emplace(site, Clock::now());
    told_.push_back(site);
    changed_.notify_all();
}

std::vector<JobRun::Participant> JobRun::participants() const {
    const std::lock_guard lock(mutex_);
    std::vector<Participant> all;
    for (const auto& [name, participant] : participants_) all.push_back(participant);
    return all;
}

// ---- helpers ----------------------------------------------------------------------------------

std::vector<std::string> JobRun::site_names() const {
    std::vector<std::string> names;
    for (const auto& seat : seats_) names.push_back(seat.site);
    return names;
}

/// With the lock. All runs are told of all sites; who has no part of this job is not missed by it.
bool JobRun::takes_part(const std::string& site) const {
    const auto found = participants_.find(site);
    return found != participants_.end() && found->second.state != kLeftOut;
}

fs::path JobRun::verdict_file() const { return options_.folder / (record_.id + ".verdict"); }

fs::path JobRun::workspace() const { return options_.folder / record_.id; }

void JobRun::set_state(const std::string& participant, const std::string& state, const std::string& detail) {
    const std::lock_guard lock(mutex_);
    participants_[participant] = {participant, state, detail};
}

void JobRun::say(const std::string& type, const std::string& text) {
    fire_job_event(ports_.engine, ports_.store, record_.id, type, text);
}

}  // namespace rankexec::job
