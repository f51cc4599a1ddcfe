// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "rankexec/ipc/pipe/pipe.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec::pipe {

/// What a ZeroMQ pipe has to send and has received, between the threads that call it and the one that owns its sockets.
/// Any thread.
class PipeMailbox {
public:
    explicit PipeMailbox(std::size_t capacity) : capacity_(capacity) {}

    // ---- sending ----
    /// A message is to be sent; its frames are kept until release().
    void hold(const std::string& id, std::vector<wire::Frame> frames);
    /// Nobody waits for it any more. What was on its way is remembered, so that sending it again does not put it there
    /// twice.
    void release(const std::string& id);
    [[nodiscard]] bool confirmed(const std::string& id) const;
    void confirm(const std::string& id);
    /// What is to be put on this connection now, in order: what was not put on it before.
    [[nodiscard]] std::vector<std::vector<wire::Frame>> to_put(std::uint64_t connection);
    /// All that was not confirmed may be put again.
    void put_again();

    // ---- receiving ----
    enum class Taken : std::uint8_t { queued, known, no_room };
    [[nodiscard]] Taken take(PipeMessage message);
    void take_heartbeat(PipeMessage message);
    void take_error(PipeError error);
    /// The next; nothing if there is none. `made_room` is set when somebody was turned away for want of room before.
    [[nodiscard]] std::optional<Pipe::Received> next(bool& made_room);
    void clear();

    WaitRoom room;  ///< notified by all that changes something

private:
    struct Outgoing {
        std::string id;
        std::vector<wire::Frame> frames;  ///< none: nobody waits for it
        std::uint64_t connection = 0;     ///< on which it was put
        bool confirmed = false;
    };
    [[nodiscard]] std::list<Outgoing>::iterator find(const std::string& id);

    const std::size_t capacity_;
    mutable std::mutex mutex_;
    std::list<Outgoing> outgoing_;
    std::deque<Pipe::Received> queue_;
    std::optional<PipeMessage> heartbeat_;
    bool turned_away_ = false;
    std::deque<std::string> recent_;  ///< ids, oldest first
    std::unordered_set<std::string> known_;
};

}  // namespace rankexec::pipe
