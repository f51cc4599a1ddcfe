// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/shim_channel.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;

/// For a shim to connect again, or for its last messages to be read.
constexpr milliseconds kShimLease{1000};
/// For all shims at once to connect again to a parent that was suspended: what they have tried meanwhile is in its way,
/// and other processes have its cores.
constexpr milliseconds kLeaseAfterSuspension{10'000};
/// When ZeroMQ tells of a disconnection, its socket may not know yet.
constexpr milliseconds kDisconnectSettle{20};

/// The rank that a supervisor's report is about; -1 for other messages.
int reported_rank(const wire::Message& message) {
    return std::visit(
        [](const auto& report) {
            if constexpr (requires { report.rank; }) return static_cast<int>(report.rank);
            return -1;
        },
        message);
}

}  // namespace

ShimChannel::ShimChannel(EventLoop& loop, TransportServer& transport, int world_size, Callbacks callbacks)
    : loop_(loop),
      callbacks_(std::move(callbacks)),
      shims_(static_cast<std::size_t>(world_size)),
      channel_(transport, ChannelKind::supervision, world_size, channel_callbacks()) {
    channel_.on_disconnect([this] { look_for_lost(EventLoop::Clock::now() + kDisconnectSettle); });
}

ShimChannel::~ShimChannel() { loop_.cancel(lease_timer_); }

ParentChannel::Callbacks ShimChannel::channel_callbacks() {
    ParentChannel::Callbacks callbacks;
    callbacks.on_message = [this](int rank, wire::Message&& message) { on_message(rank, std::move(message)); };
    callbacks.on_bad_body = callbacks.on_violation = [this](int rank, const std::string& why) {
        callbacks_.on_violation("the shim of rank " + std::to_string(rank) + " does not follow the protocol: " + why);
    };
    return callbacks;
}

void ShimChannel::on_message(int rank, wire::Message&& message) {
    auto& shim = shims_.at(static_cast<std::size_t>(rank));
    shim.unreachable_since.reset();
    if (const auto* hello = std::get_if<wire::ShimHello>(&message)) {
        if (std::exchange(shim.hello, true)) {
            log::warning("a second shim for rank " + std::to_string(rank) + " was refused");
        } else {
            callbacks_.on_hello(rank, *hello);
        }
    } else if (!std::holds_alternative<wire::SupervisionEnded>(message) && reported_rank(message) != rank) {
        callbacks_.on_violation("the shim of rank " + std::to_string(rank) + " reports of another rank");
    } else {
        if (std::holds_alternative<wire::SupervisionEnded>(message)) shim.ended = true;
        callbacks_.on_message(rank, std::move(message));
    }
}

void ShimChannel::send(int rank, const wire::Message& message) {
    const auto& shim = shims_.at(static_cast<std::size_t>(rank));
    if (!shim.hello || (shim.ended && !std::holds_alternative<wire::Dismiss>(message))) return;
    if (const auto sent = channel_.send(rank, message); !sent) log::error(sent.error());
}

void ShimChannel::send_to_all(const wire::Message& message) {
    for (int rank = 0; rank < static_cast<int>(shims_.size()); ++rank) send(rank, message);
}

bool ShimChannel::none_said_hello() const { return std::ranges::none_of(shims_, &Shim::hello); }
bool ShimChannel::all_said_hello() const { return std::ranges::all_of(shims_, &Shim::hello); }

void ShimChannel::expect_suspension() { patient_until_ = EventLoop::Clock::time_point::max(); }

void ShimChannel::end_suspension() {
    patient_until_ = EventLoop::Clock::now() + kLeaseAfterSuspension;
    look_for_lost(EventLoop::Clock::now() + kDisconnectSettle);
}

void ShimChannel::release_all() {
    for (auto& shim : shims_) shim.released = true;
    loop_.cancel(lease_timer_);
    lease_timer_ = 0;
}

void ShimChannel::look_for_lost(EventLoop::Clock::time_point when) {
    loop_.cancel(lease_timer_);
    lease_timer_ = loop_.call_at(when, [this] {
        lease_timer_ = 0;
        judge();
    });
}

void ShimChannel::judge() {
    const auto now = EventLoop::Clock::now();
    std::optional<EventLoop::Clock::time_point> next;
    std::vector<int> lost;
    std::vector<int> unreachable;
    for (int rank = 0; rank < static_cast<int>(shims_.size()); ++rank) {
        auto& shim = shims_[static_cast<std::size_t>(rank)];
        if (!shim.hello || shim.released) continue;
        if (channel_.probe(rank)) {
            shim.unreachable_since.reset();
            continue;
        }
        if (!shim.unreachable_since) {
            shim.unreachable_since = now;
            unreachable.push_back(rank);
        }
        const auto end = std::max(*shim.unreachable_since + kShimLease, patient_until_);
        if (end <= now) {
            lost.push_back(rank);
        } else if (!next || end < *next) {
            next = end;
        }
    }
    if (next && *next != EventLoop::Clock::time_point::max()) look_for_lost(*next);
    for (const int rank : unreachable) callbacks_.on_unreachable(rank);
    for (const int rank : lost) {
        release(rank);
        callbacks_.on_lost(rank);
    }
}

}  // namespace rankexec
