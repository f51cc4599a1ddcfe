// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/hub/hub_messages.hpp"

namespace rankexec::hub {

/// What is under way between a hub and one that connects to it, on one side of it: requests that were sent and have no
/// reply, and requests that have come, with their answers until these have been fetched. It outlives connections, which
/// is how nothing that is lost with one is lost, and nothing that comes twice is handled twice.
///
/// Of a hub's peer there may be several connections, one for each session (process) of it; what it has asked is
/// answered on the session that asked, and what it is asked goes to its target. Lives on one EventLoop.
class Hop {
public:
    using Clock = EventLoop::Clock;
    /// The party beyond the connection, as in envelopes, and the request's id.
    using Key = std::pair<std::string, std::string>;
    using OnReply = std::function<void(RawReply&&)>;
    enum class Sent : std::uint8_t {
        yes,
        full,  ///< the connection's queue; later
        gone,  ///< there is no connection
    };
    /// To that session.
    using Send = std::function<Sent(const std::string& session, const Envelope& envelope, const Body& body)>;

    /// Requests of the other side that may be under way at a time, and bytes of answers that are kept for it.
    static constexpr std::size_t kMostOpen = 4096;
    static constexpr std::size_t kMostAnswerBytes = std::size_t{256} << 20U;
    /// Requests that are over and remembered as such.
    static constexpr std::size_t kMostOver = 4096;

    /// `most_open_bytes`: of requests of the other side that are under way.
    Hop(EventLoop& loop, std::size_t most_open_bytes, Send send);
    ~Hop();
    Hop(const Hop&) = delete;
    Hop& operator=(const Hop&) = delete;

    // ---- what this side asks ----

    struct Question {
        std::string topic;
        Body body;
        Clock::time_point deadline;
        /// What is said when that has passed. nullptr: "no answer in time".
        std::function<RawReply()> too_late;
        OnReply on_reply;
    };
    /// Calls back once: with the reply, with that of fail_all(), or when it is too late. A key that is under way
    /// already keeps what it had.
    void ask(const Key& key, Question question);
    /// A reply has come; false when nobody waits for it.
    bool replied(const Key& key, RawReply&& reply);
    /// Everything that is under way gets this reply; what the other side has asked is forgotten.
    void fail_all(const RawReply& reply);

    // ---- what this side is asked ----

    enum class Asked : std::uint8_t {
        fresh,  ///< handle it, then answer()
        known,  ///< nothing is to be done
        full,   ///< it cannot be taken
    };
    [[nodiscard]] Asked asked(const Key& key, const std::string& session, std::size_t bytes,
                              Clock::time_point deadline);
    /// Of a request that is under way; otherwise nothing.
    void answer(const Key& key, RawReply&& reply);
    /// The answer was fetched.
    void got(const Key& key);
    /// Whether it was, or has been given up.
    [[nodiscard]] bool over(const Key& key) const { return over_.contains(key); }

    // ---- connections ----

    /// Where requests go; nothing: nowhere for now.
    void set_target(std::optional<std::string> session) { target_ = std::move(session); }
    [[nodiscard]] const std::optional<std::string>& target() const noexcept { return target_; }
    /// A new connection of that session: what is open goes out on it.
    void connected(const std::string& session);
    /// From time to time: forgets answers that nobody waits for any more.
    void sweep();

private:
    struct Open {
        Question question;
        EventLoop::TimerId timer = 0;
        bool waits = false;  ///< for room in the connection's queue
    };
    struct Served {
        std::string session;
        std::size_t bytes = 0;  ///< of the request, while it is open
        Clock::time_point deadline;
        std::optional<RawReply> reply;
        bool waits = false;  ///< for room in the connection's queue
    };

    void put(const Key& key, Open& open);
    void put(const Key& key, Served& served);
    void finish(std::map<Key, Open>::iterator open, RawReply&& reply);
    std::map<Key, Served>::iterator end_served(std::map<Key, Served>::iterator served);
    void drop_answers();
    /// What could not be sent, because its connection's queue is full.
    void retry_soon();
    void retry();

    EventLoop& loop_;
    std::size_t most_open_bytes_;
    Send send_;
    std::optional<std::string> target_;
    EventLoop::TimerId retry_ = 0;
    std::map<Key, Open> open_;
    std::map<Key, Served> served_;
    std::size_t served_bytes_ = 0;
    std::size_t answer_bytes_ = 0;
    std::deque<Key> answered_;  ///< oldest first; some may be over
    std::set<Key> over_;
    std::deque<Key> over_order_;
};

}  // namespace rankexec::hub
