// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/workflow/task_message.hpp"
#include "rankexec/core/job/workflow/workflow.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/model/signal.hpp"

namespace rankexec::job {

/// The tasks that a workflow has given to its sites, and who of these is there. Knows nothing of networks: what is to
/// be sent goes through hooks, what has come is told to it. Any thread; whoever calls back must have stopped when it is
/// destroyed.
class RANKEXEC_EXPORT TaskBoard {
public:
    using Clock = std::chrono::steady_clock;
    using Milliseconds = std::chrono::milliseconds;
    using Replies = std::map<std::string, Shareable>;
    using OnReply = std::function<void(tl::expected<Shareable, Failure>&&)>;

    struct Hooks {
        /// Sends a task to a site; calls back with the site's reply, or why there is none (the codes of hub::Reply).
        /// Both hooks are called under the board's lock, so that a site gets its tasks in order: they must neither
        /// block nor call back at once.
        std::function<void(const std::string& site, const TaskMessage& message, OnReply on_reply)> send;
        /// Nobody wants that task's result any more.
        std::function<void(const std::string& site, const std::string& id, const std::string& reason)> give_up;
    };
    struct Options {
        std::vector<std::string> sites;
        int min_sites = 1;
        int incarnation = 1;
        Milliseconds site_gone_after{30'000};  ///< a site that is away for so long is lost
    };
    TaskBoard(Options options, Hooks hooks, Signal abort);
    ~TaskBoard();
    TaskBoard(const TaskBoard&) = delete;
    TaskBoard& operator=(const TaskBoard&) = delete;

    /// Its part is there: for the first time, or again. Its unanswered tasks are sent again.
    void site_ready(const std::string& site);
    /// It may come back. Nothing for a site that was not there.
    void site_away(const std::string& site, const std::string& why);
    /// It does not; its unanswered tasks have failed. Should it come nevertheless, it is taken.
    void site_gone(const std::string& site, const std::string& why);

    /// Those that are there, by name.
    [[nodiscard]] std::vector<std::string> sites() const;
    [[nodiscard]] bool knows(const std::string& site) const;
    /// Waits until every site is there or gone; once min_sites are there, for the others at most `wait_after_min`.
    /// Fails when min_sites can no longer be reached, or on abort.
    [[nodiscard]] tl::expected<void, Failure> wait_sites(Milliseconds wait_after_min);

    /// As WorkflowSession::broadcast_and_wait.
    [[nodiscard]] tl::expected<Replies, Failure> broadcast_and_wait(const WorkflowSession::Broadcast& broadcast);
    /// As WorkflowSession::send.
    [[nodiscard]] Shareable send(const std::string& site, const std::string& task, const Shareable& input,
                                 Milliseconds timeout);

    /// Tasks given out, a broadcast counting once. A restored run goes on counting where its snapshot was taken, so
    /// that its tasks have the same ids.
    [[nodiscard]] std::int64_t task_count() const;
    void set_task_count(std::int64_t count);
    /// The results of so many tasks are in a snapshot that is durable: sites need not remember them.
    void set_covered(std::int64_t count);
    [[nodiscard]] std::int64_t late_results() const;

private:
    /// One task at one site.
    struct Entry {
        enum class State { open, answered, dropped };
        State state = State::open;
        std::string site;
        std::string task;
        std::string id;
        std::int64_t number = 0;
        std::shared_ptr<const Shareable> input;
        int attempts = 0;
        bool unwanted = false;  ///< a result that comes now is late, once
        Shareable reply;
    };
    using EntryPointer = std::shared_ptr<Entry>;
    struct Site {
        enum class Presence { never_seen, there, away, gone };
        Presence presence = Presence::never_seen;
        std::string why;            ///< it is not there
        Clock::time_point lost_at;  ///< of one that is away
        std::vector<EntryPointer> open;
    };
    /// What one call waits for.
    struct Round {
        std::vector<EntryPointer> entries;
        std::size_t min_responses = 0;
        Milliseconds wait_after_min{0};
        Milliseconds timeout{0};
    };
    struct Tally {
        std::size_t ok = 0;
        std::size_t open = 0;
        const Entry* failed = nullptr;  ///< the first in order of sites
    };
    using Lock = std::unique_lock<std::mutex>;

    [[nodiscard]] tl::expected<std::vector<std::string>, Failure> targets(
        const WorkflowSession::Broadcast& broadcast) const;
    [[nodiscard]] Round give_out(const WorkflowSession::Broadcast& broadcast, const std::string& digest,
                                 std::vector<std::string> sites);
    struct Given {
        Round round;
        tl::expected<Replies, Failure> replies;
    };
    [[nodiscard]] Given run(const WorkflowSession::Broadcast& broadcast);
    [[nodiscard]] tl::expected<Replies, Failure> wait_for(Round& round, Lock& lock);
    [[nodiscard]] static Tally tally_of(const Round& round);
    [[nodiscard]] static Replies replies_of(const Round& round);
    [[nodiscard]] Failure too_few(const Round& round, const Tally& tally) const;
    void send_entry(const EntryPointer& entry);
    void take_reply(const EntryPointer& entry, int attempt, tl::expected<Shareable, Failure>&& reply);
    void answer(Entry& entry, Shareable reply);
    void drop_open(const Round& round, const std::string& reason);
    void lose(const std::string& name, Site& site, const std::string& why);
    void mark_away(Site& site, const std::string& why);
    /// Loses the sites whose time is over; returns when the next one's will be.
    [[nodiscard]] Clock::time_point expire_sites();
    void wait_until(Lock& lock, Clock::time_point when);

    const Options options_;
    const Hooks hooks_;
    const Signal abort_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Site> sites_;
    std::int64_t tasks_ = 0;
    std::int64_t covered_ = 0;
    std::int64_t stamps_ = 0;
    std::int64_t late_ = 0;
    Signal::Subscription on_abort_;
};

}  // namespace rankexec::job
