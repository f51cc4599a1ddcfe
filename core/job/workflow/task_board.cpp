// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/task_board.hpp"

#include <algorithm>
#include <utility>

#include "rankexec/core/job/workflow/shareable_bytes.hpp"

namespace rankexec::job {
namespace {

Failure failure_of(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return failure;
}

std::string count_of(std::size_t count, const char* what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

TaskBoard::TaskBoard(Options options, Hooks hooks, Signal abort)
    : options_(std::move(options)), hooks_(std::move(hooks)), abort_(std::move(abort)) {
    for (const auto& name : options_.sites) sites_[name];
    on_abort_ = abort_.on_trigger([this](const std::string&) {
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    });
}

TaskBoard::~TaskBoard() = default;

// ---- who is there ---------------------------------------------------------------------------------

void TaskBoard::site_ready(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = sites_.find(name);
    if (found == sites_.end()) return;
    found->second.presence = Site::Presence::there;
    found->second.why.clear();
    for (const auto& entry : found->second.open) send_entry(entry);
    changed_.notify_all();
}

void TaskBoard::site_away(const std::string& name, const std::string& why) {
    const std::lock_guard lock(mutex_);
    const auto found = sites_.find(name);
    if (found != sites_.end()) mark_away(found->second, why);
}

void TaskBoard::site_gone(const std::string& name, const std::string& why) {
    const std::lock_guard lock(mutex_);
    const auto found = sites_.find(name);
    if (found != sites_.end()) lose(name, found->second, why);
}

void TaskBoard::mark_away(Site& site, const std::string& why) {
    if (site.presence != Site::Presence::there) return;
    site.presence = Site::Presence::away;
    site.why = why;
    site.lost_at = Clock::now() + options_.site_gone_after;
    changed_.notify_all();
}

void TaskBoard::lose(const std::string& name, Site& site, const std::string& why) {
    site.presence = Site::Presence::gone;
    site.why = why;
    for (const auto& entry : std::exchange(site.open, {})) {
        entry->state = Entry::State::answered;
        entry->unwanted = entry->attempts > 0;
        entry->reply = Shareable::failed(ReturnCode::execution_exception, "site " + name + " was lost: " + why);
    }
    changed_.notify_all();
}

TaskBoard::Clock::time_point TaskBoard::expire_sites() {
    auto next = Clock::time_point::max();
    for (auto& [name, site] : sites_) {
        if (site.presence != Site::Presence::away) continue;
        if (site.lost_at <= Clock::now()) {
            lose(name, site, site.why);
        } else {
            next = std::min(next, site.lost_at);
        }
    }
    return next;
}

std::vector<std::string> TaskBoard::sites() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, site] : sites_) {
        if (site.presence == Site::Presence::there) names.push_back(name);
    }
    return names;
}

bool TaskBoard::knows(const std::string& site) const {
    const std::lock_guard lock(mutex_);
    return sites_.contains(site);
}

void TaskBoard::wait_until(Lock& lock, Clock::time_point when) {
    if (when == Clock::time_point::max()) {
        changed_.wait(lock);
    } else {
        changed_.wait_until(lock, when);
    }
}

tl::expected<void, Failure> TaskBoard::wait_sites(Milliseconds wait_after_min) {
    Lock lock(mutex_);
    const auto wanted = static_cast<std::size_t>(std::max(options_.min_sites, 1));
    auto end = Clock::time_point::max();
    while (true) {
        auto next = expire_sites();
        if (abort_.triggered()) return tl::unexpected(failure_of(ReturnCode::task_aborted, abort_.reason()));
        std::size_t there = 0;
        std::size_t gone = 0;
        std::string why;
        for (const auto& [name, site] : sites_) {
            there += site.presence == Site::Presence::there ? 1 : 0;
            if (site.presence != Site::Presence::gone) continue;
            ++gone;
            why += (why.empty() ? "; " : ", ") + name + ": " + site.why;
        }
        if (sites_.size() - gone < wanted) {
            return tl::unexpected(failure_of(ReturnCode::not_ready, count_of(sites_.size() - gone, "site") +
                                                                        " left, but the job needs at least " +
                                                                        std::to_string(wanted) + why));
        }
        if (there + gone == sites_.size()) return {};
        if (there >= wanted && end == Clock::time_point::max()) end = Clock::now() + wait_after_min;
        if (end <= Clock::now()) return {};
        wait_until(lock, std::min(next, end));
    }
}

// ---- tasks ----------------------------------------------------------------------------------------

tl::expected<std::vector<std::string>, Failure> TaskBoard::targets(const WorkflowSession::Broadcast& broadcast) const {
    auto names = broadcast.sites;
    for (const auto& name : names) {
        if (sites_.contains(name)) continue;
        return tl::unexpected(failure_of(ReturnCode::bad_request_data, "task \"" + broadcast.task + "\": site \"" +
                                                                           name + "\" has no part of this job"));
    }
    if (names.empty()) {
        // One that is away for a moment is not left out because of it.
        for (const auto& [name, site] : sites_) {
            const bool here = site.presence == Site::Presence::there || site.presence == Site::Presence::away;
            if (here) names.push_back(name);
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    const auto wanted = static_cast<std::size_t>(std::max(broadcast.min_responses, 1));
    if (names.size() >= wanted) return names;
    return tl::unexpected(failure_of(ReturnCode::not_ready, "task \"" + broadcast.task + "\" is for at least " +
                                                                count_of(wanted, "site") + ", but " +
                                                                std::to_string(names.size()) + " can get it"));
}

TaskBoard::Round TaskBoard::give_out(const WorkflowSession::Broadcast& broadcast, const std::string& digest,
                                     std::vector<std::string> sites) {
    Round round;
    round.min_responses =
        broadcast.min_responses > 0 ? static_cast<std::size_t>(broadcast.min_responses) : sites.size();
    round.wait_after_min = broadcast.wait_after_min;
    round.timeout = broadcast.timeout;
    // Not the number alone: a restored run that decides otherwise shall not get another task's answer.
    const auto id = std::to_string(++tasks_) + "-" + broadcast.task + "-" + digest;
    const auto input = std::make_shared<const Shareable>(broadcast.input);
    for (auto& name : sites) {
        auto entry = std::make_shared<Entry>();
        entry->site = std::move(name);
        entry->task = broadcast.task;
        entry->id = id;
        entry->number = tasks_;
        entry->input = input;
        auto& site = sites_.at(entry->site);
        if (site.presence == Site::Presence::gone) {
            entry->state = Entry::State::answered;
            entry->reply =
                Shareable::failed(ReturnCode::execution_exception, "site " + entry->site + " was lost: " + site.why);
        } else {
            site.open.push_back(entry);
            if (site.presence == Site::Presence::there) send_entry(entry);
        }
        round.entries.push_back(std::move(entry));
    }
    return round;
}

void TaskBoard::send_entry(const EntryPointer& entry) {
    TaskMessage message;
    message.task = entry->task;
    message.id = entry->id;
    message.number = entry->number;
    message.covered = covered_;
    message.stamp = {options_.incarnation, ++stamps_};
    for (const auto& open : sites_.at(entry->site).open) message.open.push_back(open->id);
    message.input = *entry->input;
    const int attempt = ++entry->attempts;
    hooks_.send(entry->site, message, [this, entry, attempt](tl::expected<Shareable, Failure>&& reply) {
        take_reply(entry, attempt, std::move(reply));
    });
}

void TaskBoard::take_reply(const EntryPointer& entry, int attempt, tl::expected<Shareable, Failure>&& reply) {
    const std::lock_guard lock(mutex_);
    if (reply) {
        if (entry->state == Entry::State::open) return answer(*entry, std::move(*reply));
        // An aborted task's answer is no result.
        const bool result = reply->code != ReturnCode::task_aborted;
        if (result && std::exchange(entry->unwanted, false)) ++late_;
        return;
    }
    // What became of an earlier attempt says nothing any more.
    if (entry->state != Entry::State::open || attempt != entry->attempts) return;
    auto& site = sites_.at(entry->site);
    if (reply.error().code == ReturnCode::not_ready) {
        mark_away(site, reply.error().message);
    } else if (reply.error().code == ReturnCode::task_timeout && site.presence == Site::Presence::there) {
        send_entry(entry);
    } else if (reply.error().code != ReturnCode::task_timeout) {
        answer(*entry, Shareable::failed(std::move(reply.error())));
    }
}

void TaskBoard::answer(Entry& entry, Shareable reply) {
    entry.state = Entry::State::answered;
    entry.reply = std::move(reply);
    std::erase_if(sites_.at(entry.site).open, [&](const EntryPointer& open) { return open.get() == &entry; });
    changed_.notify_all();
}

void TaskBoard::drop_open(const Round& round, const std::string& reason) {
    for (const auto& entry : round.entries) {
        if (entry->state != Entry::State::open) continue;
        entry->state = Entry::State::dropped;
        entry->unwanted = entry->attempts > 0;
        entry->input.reset();
        auto& site = sites_.at(entry->site);
        std::erase(site.open, entry);
        if (entry->attempts > 0) hooks_.give_up(entry->site, entry->id, reason);
    }
}

TaskBoard::Tally TaskBoard::tally_of(const Round& round) {
    Tally tally;
    for (const auto& entry : round.entries) {
        if (entry->state == Entry::State::open) ++tally.open;
        if (entry->state != Entry::State::answered) continue;
        if (entry->reply.ok()) ++tally.ok;
        if (!entry->reply.ok() && tally.failed == nullptr) tally.failed = entry.get();
    }
    return tally;
}

TaskBoard::Replies TaskBoard::replies_of(const Round& round) {
    Replies replies;
    for (const auto& entry : round.entries) {
        if (entry->state == Entry::State::answered) replies.emplace(entry->site, entry->reply);
    }
    return replies;
}

Failure TaskBoard::too_few(const Round& round, const Tally& tally) const {
    const auto& failed = *tally.failed;
    auto failure = failed.reply.failure.value_or(Failure{});
    failure.code = failed.reply.code;
    failure.message = "task \"" + failed.task + "\": " + std::to_string(tally.ok) + " of " +
                      count_of(round.entries.size(), "site") + " answered well, " +
                      std::to_string(round.min_responses) + " must; site " + failed.site + ": " +
                      (failure.message.empty() ? std::string(to_string(failure.code)) : failure.message);
    return failure;
}

tl::expected<TaskBoard::Replies, Failure> TaskBoard::wait_for(Round& round, Lock& lock) {
    const auto start = Clock::now();
    const auto timeout_at = round.timeout.count() > 0 ? start + round.timeout : Clock::time_point::max();
    auto enough_at = Clock::time_point::max();
    while (true) {
        const auto next = expire_sites();
        const auto tally = tally_of(round);
        const auto now = Clock::now();
        const bool enough = tally.ok >= round.min_responses;
        if (enough && enough_at == Clock::time_point::max()) enough_at = now + round.wait_after_min;
        const bool aborted = abort_.triggered();
        if (enough && !aborted && (tally.open == 0 || enough_at <= now || timeout_at <= now)) {
            drop_open(round, "enough sites have answered");
            return replies_of(round);
        }
        if (aborted) {
            drop_open(round, abort_.reason());
            return tl::unexpected(failure_of(ReturnCode::task_aborted, abort_.reason()));
        }
        if (tally.ok + tally.open < round.min_responses) {
            drop_open(round, "too many other sites have failed");
            return tl::unexpected(too_few(round, tally));
        }
        if (timeout_at <= now) {
            drop_open(round, "its time is over");
            return tl::unexpected(failure_of(
                ReturnCode::task_timeout, "task \"" + round.entries.front()->task + "\": " + std::to_string(tally.ok) +
                                              " of " + count_of(round.min_responses, "site") +
                                              " answered well within " + std::to_string(round.timeout.count()) +
                                              " ms"));
        }
        wait_until(lock, std::min({next, timeout_at, enough ? enough_at : Clock::time_point::max()}));
    }
}

TaskBoard::Given TaskBoard::run(const WorkflowSession::Broadcast& broadcast) {
    // Not under the lock: a large model takes its time.
    const auto digest = digest_of(broadcast.input);
    if (!digest) {
        const auto what = "the input of task \"" + broadcast.task + "\" cannot be sent: " + digest.error();
        return {{}, tl::unexpected(failure_of(ReturnCode::bad_request_data, what))};
    }
    Lock lock(mutex_);
    (void)expire_sites();
    auto sites = targets(broadcast);
    if (!sites) return {{}, tl::unexpected(std::move(sites.error()))};
    auto round = give_out(broadcast, *digest, std::move(*sites));
    auto replies = wait_for(round, lock);
    return {std::move(round), std::move(replies)};
}

tl::expected<TaskBoard::Replies, Failure> TaskBoard::broadcast_and_wait(const WorkflowSession::Broadcast& broadcast) {
    return run(broadcast).replies;
}

Shareable TaskBoard::send(const std::string& site, const std::string& task, const Shareable& input,
                          Milliseconds timeout) {
    WorkflowSession::Broadcast broadcast;
    broadcast.task = task;
    broadcast.input = input;
    broadcast.sites = {site};
    broadcast.timeout = timeout;
    auto [round, replies] = run(broadcast);
    if (replies) return std::move(replies->begin()->second);
    // A reply that is not ok is the site's own, not one about how many there were.
    const bool answered = !round.entries.empty() && round.entries.front()->state == Entry::State::answered;
    return answered ? round.entries.front()->reply : Shareable::failed(std::move(replies.error()));
}

std::int64_t TaskBoard::task_count() const {
    const std::lock_guard lock(mutex_);
    return tasks_;
}

void TaskBoard::set_task_count(std::int64_t count) {
    const std::lock_guard lock(mutex_);
    tasks_ = count;
}

void TaskBoard::set_covered(std::int64_t count) {
    const std::lock_guard lock(mutex_);
    covered_ = count;
}

std::int64_t TaskBoard::late_results() const {
    const std::lock_guard lock(mutex_);
    return late_;
}

}  // namespace rankexec::job
