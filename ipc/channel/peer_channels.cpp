// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/peer_channels.hpp"

#include <random>
#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/channel/channel_rules.hpp"
#include "rankexec/ipc/channel/stand_in.hpp"

namespace rankexec {
namespace {

constexpr std::array kAllChannels{ChannelKind::execution, ChannelKind::handler, ChannelKind::relay,
                                  ChannelKind::supervision};

/// What the protocol's integers can hold, and no other process of the same credentials has.
std::uint64_t random_session() {
    std::random_device random;
    return (std::uint64_t{random()} << 31U) ^ random();
}

}  // namespace

PeerChannels::PeerChannels(EventLoop& loop, const Bootstrap& bootstrap, int rank, Callbacks callbacks)
    : run_id_(bootstrap.run_id),
      incarnation_(bootstrap.incarnation),
      rank_(rank),
      session_(random_session()),
      callbacks_(std::move(callbacks)),
      delay_(loop) {}

TransportClient::Callbacks PeerChannels::transport_callbacks() {
    TransportClient::Callbacks made;
    made.on_message = [this](ChannelKind kind, std::vector<wire::Frame>&& frames) {
        delay_.pass(kind, [this, kind, frames = std::move(frames)]() mutable { receive(kind, std::move(frames)); });
    };
    made.on_connected = [this](ChannelKind kind) { on_connected(kind); };
    made.on_disconnected = [this](ChannelKind kind) {
        if (callbacks_.on_disconnected) callbacks_.on_disconnected(kind);
    };
    made.on_unreachable = [this](ChannelKind kind) {
        if (callbacks_.on_unreachable) callbacks_.on_unreachable(kind);
    };
    made.on_refused = [this](ChannelKind, const std::string& why) { callbacks_.on_broken(why); };
    return made;
}

std::unique_ptr<PeerChannels> PeerChannels::over(EventLoop& loop, const Bootstrap& bootstrap, RankLinks links,
                                                 Callbacks callbacks) {
    std::unique_ptr<PeerChannels> made(new PeerChannels(loop, bootstrap, bootstrap.rank, std::move(callbacks)));
    made->transport_ = TransportClient::over(loop, std::move(links), made->transport_callbacks());
    return made;
}

tl::expected<std::unique_ptr<PeerChannels>, std::string> PeerChannels::connect(EventLoop& loop,
                                                                               const Bootstrap& bootstrap,
                                                                               PeerRole role, int rank,
                                                                               const std::vector<ChannelKind>& channels,
                                                                               Callbacks callbacks) {
    std::unique_ptr<PeerChannels> made(new PeerChannels(loop, bootstrap, rank, std::move(callbacks)));
    auto transport = TransportClient::connect(loop, bootstrap, role, rank, channels, made->transport_callbacks());
    if (!transport) return tl::unexpected(transport.error());
    made->transport_ = std::move(*transport);
    for (const auto kind : channels) {
        if (outlives_connections(kind)) made->send_unnumbered(kind, wire::Resume{made->session_, 1, 0});
    }
    return made;
}

wire::Envelope PeerChannels::next_envelope(ChannelKind kind) {
    wire::Envelope envelope;
    envelope.run_id = run_id_;
    envelope.incarnation = incarnation_;
    envelope.rank = rank_;
    envelope.sequence = sent_.at(static_cast<std::size_t>(kind)) + 1;
    return envelope;
}

void PeerChannels::deliver(ChannelKind kind, std::vector<wire::Frame>&& frames) {
    const auto index = static_cast<std::size_t>(kind);
    ++sent_.at(index);
    if (outlives_connections(kind)) resumptions_.at(index).keep(frames);
    // What is sent before the parent's answer would leave a gap, and follows it anyway.
    if (!resuming_.at(index)) hand_over(kind, std::move(frames));
}

void PeerChannels::hand_over(ChannelKind kind, std::vector<wire::Frame>&& frames) {
    delay_.pass(kind, [this, kind, frames = std::move(frames)] {
        if (transport_) transport_->send(kind, frames);
    });
}

Outbox::Send PeerChannels::sender(ChannelKind kind) {
    return [this, kind](const wire::EncodedBody& body) {
        auto frames = wire::with_envelope(next_envelope(kind), body);
        if (!frames) return false;
        deliver(kind, std::move(*frames));
        return true;
    };
}

tl::expected<void, std::string> PeerChannels::send(ChannelKind kind, const wire::Message& message) {
    auto frames = wire::encode(next_envelope(kind), message);
    if (!frames) return tl::unexpected(frames.error());
    if (const auto* const result = std::get_if<wire::Result>(&message)) last_result_ = result->task_id;
    auto& outbox = outboxes_.at(static_cast<std::size_t>(kind));
    if (const auto type = wire::type_number(message); outbox.must_take(type, wire::size_of(*frames))) {
        frames->erase(frames->begin());
        outbox.push({type, std::move(*frames)}, sender(kind));
    } else {
        deliver(kind, std::move(*frames));
    }
    return {};
}

void PeerChannels::close(std::chrono::milliseconds linger) {
    // Nothing is read any more that would say how much more may be sent.
    for (const auto kind : kAllChannels) {
        const auto index = static_cast<std::size_t>(kind);
        outboxes_.at(index).flush(sender(kind));
        // The parent's answer will not be read; behind Resume, everything is in order.
        if (!resuming_.at(index)) continue;
        for (const auto& message : resumptions_.at(index).unreceived()) transport_->send(kind, message);
    }
    transport_->close(linger);
}

void PeerChannels::on_part(ChannelKind kind, const wire::MessagePart& part) {
    if (const auto added = assemblies_.at(static_cast<std::size_t>(kind)).add(part); !added) {
        callbacks_.on_broken(added.error());
        return;
    }
    (void)send(kind, wire::PartsTaken{part.bytes.bytes().size()});
}

void PeerChannels::on_connected(ChannelKind kind) {
    const auto index = static_cast<std::size_t>(kind);
    // What the first one is to begin with has been sent already.
    if (outlives_connections(kind) && ++connections_.at(index) > 1) {
        resuming_.at(index) = true;
        send_unnumbered(kind, wire::Resume{session_, connections_.at(index), received_.at(index)});
    }
    if (callbacks_.on_connected) callbacks_.on_connected(kind);
}

void PeerChannels::send_unnumbered(ChannelKind kind, const wire::Message& message) {
    auto envelope = next_envelope(kind);
    envelope.sequence = 0;
    auto frames = wire::encode(envelope, message);
    if (frames) hand_over(kind, std::move(*frames));
}

void PeerChannels::on_unnumbered(ChannelKind kind, const std::vector<wire::Frame>& frames) {
    const auto index = static_cast<std::size_t>(kind);
    const auto decoded = wire::decode(frames);
    if (!decoded) return callbacks_.on_broken(decoded.error().message);
    const auto* const resume = std::get_if<wire::Resume>(&decoded->message);
    const auto last = resume != nullptr ? resume->last : std::get<wire::Received>(decoded->message).last;
    if (!resumptions_.at(index).received(last)) {
        return callbacks_.on_broken("the parent has not received what it says it has");
    }
    // One that answers for a connection before this one says nothing about what was sent since.
    if (resume != nullptr && resuming_.at(index) && resume->connection == connections_.at(index)) {
        resuming_.at(index) = false;
        for (const auto& message : resumptions_.at(index).unreceived()) hand_over(kind, std::vector(message));
    }
    if (callbacks_.on_confirmed) callbacks_.on_confirmed(kind);
}

bool PeerChannels::all_confirmed(ChannelKind kind) const {
    const auto index = static_cast<std::size_t>(kind);
    return resumptions_.at(index).unreceived().empty() && outboxes_.at(index).waiting() == 0;
}

void PeerChannels::receive(ChannelKind kind, std::vector<wire::Frame>&& frames) {
    auto& received = received_.at(static_cast<std::size_t>(kind));
    const auto envelope = wire::decode_envelope(frames.front().bytes);
    if (!envelope) {
        callbacks_.on_broken(envelope.error().message);
        return;
    }
    const bool ours = envelope->run_id == run_id_ && envelope->incarnation == incarnation_ && envelope->rank == rank_;
    const auto index = static_cast<std::size_t>(kind);
    const bool outlives = outlives_connections(kind);
    if (ours && outlives) {
        if (stands_outside(envelope->type)) return on_unnumbered(kind, frames);
        if (envelope->sequence <= received) return;  // sent again without need
    }
    if (!ours || envelope->sequence <= received) {
        log::warning("channel " + std::string(to_string(kind)) + ": dropped a stale or foreign message");
        return;
    }
    if (envelope->sequence != received + 1) {
        callbacks_.on_broken("messages were lost on the " + std::string(to_string(kind)) + " channel");
        return;
    }
    received = envelope->sequence;
    if (outlives && resumptions_.at(index).must_confirm(envelope->type, wire::size_of(frames))) {
        send_unnumbered(kind, wire::Received{received});
    }
    if (const auto whole = assemblies_.at(index).complete(envelope->type, frames); !whole) {
        callbacks_.on_broken(whole.error());
        return;
    }
    auto decoded = wire::decode(frames);
    if (!decoded) {
        if (auto stand_in = stand_in_for(envelope->type, decoded.error())) {
            log::error(decoded.error().message);
            decoded = wire::Decoded{*envelope, std::move(*stand_in)};
        } else if (decoded.error().kind == wire::DecodeError::Kind::body && callbacks_.on_bad_body) {
            callbacks_.on_bad_body(kind, envelope->type, decoded.error());
            return;
        } else {
            callbacks_.on_broken(decoded.error().message);
            return;
        }
    }
    if (const auto* const part = std::get_if<wire::MessagePart>(&decoded->message)) return on_part(kind, *part);
    if (const auto* const taken = std::get_if<wire::PartsTaken>(&decoded->message)) {
        return outboxes_.at(index).taken(taken->bytes, sender(kind));
    }
    const auto* const abort = std::get_if<wire::AbortTask>(&decoded->message);
    if (abort != nullptr && abort->task_id == last_result_) {
        // Only one task's result can be on its way, and what is left of it is not wanted any more.
        constexpr auto kResults = ChannelKind::execution;
        outboxes_.at(static_cast<std::size_t>(kResults)).cut(wire::type_number<wire::Result>(), sender(kResults));
    }
    if (!allowed_on(kind, Direction::to_peer, decoded->message)) {
        callbacks_.on_broken(std::string(wire::name_of(decoded->message)) + " is no message for the " +
                             std::string(to_string(kind)) + " channel");
        return;
    }
    callbacks_.on_message(kind, std::move(decoded->message));
}

}  // namespace rankexec
