// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/channel/parent_channel.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// The host's end of the supervision channel to the shims that a launcher has started: who has said hello, and
/// who can be reached. A shim that was killed cannot say so; its connection tells, and one that cannot be
/// reached may connect again within its lease.
///
/// Lives on the loop. A callback may call anything but the destructor.
class ShimChannel {
public:
    struct Callbacks {
        /// The first message of each shim.
        std::function<void(int rank, const wire::ShimHello&)> on_hello;
        /// Any other, about the shim's own rank.
        std::function<void(int rank, wire::Message&&)> on_message;
        /// The shim has ended without a word, or cannot be reached any more. Once.
        std::function<void(int rank)> on_lost;
        /// Nothing is left to be read of its connection; it may come again, until it is lost.
        std::function<void(int rank)> on_unreachable;
        std::function<void(const std::string& why)> on_violation;
    };

    ShimChannel(EventLoop& loop, TransportServer& transport, int world_size, Callbacks callbacks);
    ~ShimChannel();
    ShimChannel(const ShimChannel&) = delete;
    ShimChannel& operator=(const ShimChannel&) = delete;

    /// Does nothing for a shim that has not said hello, or but for Dismiss for one that has reported its end: it may be
    /// gone, and never confirm it.
    void send(int rank, const wire::Message& message);
    void send_to_all(const wire::Message& message);

    [[nodiscard]] bool said_hello(int rank) const { return shims_.at(static_cast<std::size_t>(rank)).hello; }
    [[nodiscard]] bool none_said_hello() const;
    [[nodiscard]] bool all_said_hello() const;
    /// Whether on_unreachable was the last that was heard of its connection.
    [[nodiscard]] bool is_unreachable(int rank) const {
        return shims_.at(static_cast<std::size_t>(rank)).unreachable_since.has_value();
    }
    /// Whether the shim has come over tcp: it is on another host, or in another network namespace.
    [[nodiscard]] bool is_elsewhere(int rank) const { return said_hello(rank) && channel_.connection(rank).tcp; }

    /// From now on this process may be suspended: its connections are lost then, and no shim for that.
    void expect_suspension();
    /// It runs again, and shims have some time to connect again.
    void end_suspension();

    /// Nothing more is expected of this shim: it may go.
    void release(int rank) { shims_.at(static_cast<std::size_t>(rank)).released = true; }
    /// The group has ended: nobody is missed any more.
    void release_all();

private:
    struct Shim {
        bool hello = false;
        bool ended = false;     ///< it has reported that
        bool released = false;  ///< or lost
        std::optional<EventLoop::Clock::time_point> unreachable_since;
    };

    [[nodiscard]] ParentChannel::Callbacks channel_callbacks();
    void on_message(int rank, wire::Message&& message);
    void look_for_lost(EventLoop::Clock::time_point when);
    void judge();

    EventLoop& loop_;
    Callbacks callbacks_;
    std::vector<Shim> shims_;
    ParentChannel channel_;
    EventLoop::TimerId lease_timer_ = 0;
    /// Until then nobody is lost; of the longest past without a suspension.
    EventLoop::Clock::time_point patient_until_ = EventLoop::Clock::time_point::min();
};

}  // namespace rankexec
