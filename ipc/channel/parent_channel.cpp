// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/parent_channel.hpp"

#include <utility>

#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/channel/channel_rules.hpp"
#include "rankexec/ipc/channel/stand_in.hpp"

namespace rankexec {

ParentChannel::ParentChannel(TransportServer& transport, ChannelKind kind, int world_size, Callbacks callbacks)
    : transport_(transport),
      kind_(kind),
      callbacks_(std::move(callbacks)),
      peers_(static_cast<std::size_t>(world_size)) {
    transport_.on_message(kind_, [this](const PeerConnection& from, std::vector<wire::Frame>&& frames) {
        receive(from, std::move(frames));
    });
}

wire::Envelope ParentChannel::next_envelope(int rank) const {
    wire::Envelope envelope;
    envelope.run_id = transport_.bootstrap().run_id;
    envelope.incarnation = transport_.bootstrap().incarnation;
    envelope.rank = rank;
    envelope.sequence = peers_.at(static_cast<std::size_t>(rank)).sent + 1;
    return envelope;
}

tl::expected<void, std::string> ParentChannel::send(int rank, const wire::Message& message) {
    auto frames = wire::encode(next_envelope(rank), message);
    if (!frames) return tl::unexpected(frames.error());
    auto& outbox = peers_.at(static_cast<std::size_t>(rank)).outbox;
    // Nothing follows it, and nothing that waits is wanted any more.
    if (std::holds_alternative<wire::Close>(message)) outbox.clear();
    if (const auto type = wire::type_number(message); outbox.must_take(type, wire::size_of(*frames))) {
        frames->erase(frames->begin());
        outbox.push({type, std::move(*frames)}, sender(rank));
    } else {
        deliver(rank, *frames);
    }
    return {};
}

tl::expected<void, std::string> ParentChannel::send(int rank, const wire::EncodedBody& body) {
    if (auto& outbox = peers_.at(static_cast<std::size_t>(rank)).outbox;
        outbox.must_take(body.type, wire::size_of(body.frames))) {
        outbox.push(body, sender(rank));
        return {};
    }
    const auto frames = wire::with_envelope(next_envelope(rank), body);
    if (!frames) return tl::unexpected(frames.error());
    deliver(rank, *frames);
    return {};
}

bool ParentChannel::deliver(int rank, const std::vector<wire::Frame>& frames) {
    auto& peer = peers_.at(static_cast<std::size_t>(rank));
    if (peer.connection.route.empty()) return false;
    const bool gone = !transport_.send(kind_, peer.connection.route, frames);
    // It may go to a connection that is lost already, and to the next one then.
    if (outlives()) {
        peer.resumption.keep(frames);
    } else if (gone) {
        return false;
    }
    ++peer.sent;
    return true;
}

Outbox::Send ParentChannel::sender(int rank) {
    return [this, rank](const wire::EncodedBody& body) {
        const auto frames = wire::with_envelope(next_envelope(rank), body);
        return frames && deliver(rank, *frames);
    };
}

bool ParentChannel::cut(int rank, std::uint16_t type) {
    return peers_.at(static_cast<std::size_t>(rank)).outbox.cut(type, sender(rank));
}

void ParentChannel::on_part(int rank, const wire::MessagePart& part) {
    if (const auto added = peers_.at(static_cast<std::size_t>(rank)).assembly.add(part); !added) {
        callbacks_.on_violation(rank, added.error());
        return;
    }
    (void)send(rank, wire::PartsTaken{part.bytes.bytes().size()});
}

bool ParentChannel::probe(int rank) {
    return send_unnumbered(rank, wire::Received{peers_.at(static_cast<std::size_t>(rank)).received});
}

bool ParentChannel::send_unnumbered(int rank, const wire::Message& message) {
    const auto& route = connection(rank).route;
    auto envelope = next_envelope(rank);
    envelope.sequence = 0;
    const auto frames = wire::encode(envelope, message);
    return frames && !route.empty() && transport_.send(kind_, route, *frames);
}

void ParentChannel::on_unnumbered(const PeerConnection& from, const std::vector<wire::Frame>& frames) {
    const auto decoded = wire::decode(frames);
    if (!decoded) return callbacks_.on_violation(from.rank, decoded.error().message);
    if (const auto* const received = std::get_if<wire::Received>(&decoded->message)) {
        on_received(from, *received);
    } else {
        on_resume(from, std::get<wire::Resume>(decoded->message));
    }
}

void ParentChannel::on_received(const PeerConnection& from, const wire::Received& received) {
    auto& peer = peers_.at(static_cast<std::size_t>(from.rank));
    if (from.route != peer.connection.route) return;
    if (peer.resumption.received(received.last)) return;
    callbacks_.on_violation(from.rank, "it has not received what it says it has");
}

void ParentChannel::on_resume(const PeerConnection& from, const wire::Resume& resume) {
    auto& peer = peers_.at(static_cast<std::size_t>(from.rank));
    if (peer.connections != 0 && resume.session != peer.session) return drop(from.rank);  // another process
    // Connections are not read in the order in which they were made.
    if (resume.connection <= peer.connections) return;
    if (!peer.resumption.received(resume.last)) {
        return callbacks_.on_violation(from.rank, "it has not received what it says it has");
    }
    peer.connection = from;
    peer.session = resume.session;
    peer.connections = resume.connection;
    (void)send_unnumbered(from.rank, wire::Resume{resume.session, resume.connection, peer.received});
    for (const auto& message : peer.resumption.unreceived()) (void)transport_.send(kind_, from.route, message);
}

ParentChannel::Fate ParentChannel::fate_of(const PeerConnection& from, std::uint64_t sequence) const {
    const auto& peer = peers_.at(static_cast<std::size_t>(from.rank));
    const bool known = from.route == peer.connection.route;
    const bool next = sequence == peer.received + 1;
    if (outlives()) {
        // Before the rank tells us of a new connection, and sends this again; or sent again without need.
        if (!known || sequence <= peer.received) return Fate::ignored;
    } else if (sequence <= peer.received || (!known && !next && !peer.connection.route.empty())) {
        return Fate::dropped;
    }
    return next ? Fate::taken : Fate::some_are_lost;
}

void ParentChannel::drop(int rank) {
    ++dropped_;
    log::warning("channel " + std::string(to_string(kind_)) + ": dropped a stale or foreign message from rank " +
                 std::to_string(rank));
}

void ParentChannel::on_disconnect(std::function<void()> callback) {
    transport_.on_disconnect(kind_, std::move(callback));
}

bool ParentChannel::connected(int rank) const {
    return !peers_.at(static_cast<std::size_t>(rank)).connection.route.empty();
}

const PeerConnection& ParentChannel::connection(int rank) const {
    return peers_.at(static_cast<std::size_t>(rank)).connection;
}

void ParentChannel::receive(const PeerConnection& from, std::vector<wire::Frame>&& frames) {
    const auto rank = from.rank;
    auto& peer = peers_.at(static_cast<std::size_t>(rank));
    const auto envelope = wire::decode_envelope(frames.front().bytes);
    if (!envelope) {
        callbacks_.on_violation(rank, envelope.error().message);
        return;
    }
    const bool ours = envelope->run_id == transport_.bootstrap().run_id &&
                      envelope->incarnation == transport_.bootstrap().incarnation && envelope->rank == rank;
    if (!ours) return drop(rank);
    if (outlives() && stands_outside(envelope->type)) return on_unnumbered(from, frames);
    switch (fate_of(from, envelope->sequence)) {
        case Fate::taken: break;
        case Fate::dropped: return drop(rank);
        case Fate::ignored: return;
        case Fate::some_are_lost:
            callbacks_.on_violation(rank, "messages were lost on the " + std::string(to_string(kind_)) + " channel");
            return;
    }
    peer.received = envelope->sequence;
    peer.connection = from;
    if (outlives() && peer.resumption.must_confirm(envelope->type, wire::size_of(frames))) (void)probe(rank);
    if (const auto whole = peer.assembly.complete(envelope->type, frames); !whole) {
        callbacks_.on_violation(rank, whole.error());
        return;
    }
    auto decoded = wire::decode(frames);
    if (!decoded) {
        if (auto stand_in = stand_in_for(envelope->type, decoded.error())) {
            log::error("rank " + std::to_string(rank) + ": " + decoded.error().message);
            decoded = wire::Decoded{*envelope, std::move(*stand_in)};
        } else {
            const bool body = decoded.error().kind == wire::DecodeError::Kind::body;
            (body ? callbacks_.on_bad_body : callbacks_.on_violation)(rank, decoded.error().message);
            return;
        }
    }
    if (const auto* const part = std::get_if<wire::MessagePart>(&decoded->message)) return on_part(rank, *part);
    if (const auto* const taken = std::get_if<wire::PartsTaken>(&decoded->message)) {
        return peer.outbox.taken(taken->bytes, sender(rank));
    }
    if (!allowed_on(kind_, Direction::to_parent, decoded->message)) {
        callbacks_.on_violation(rank, std::string(wire::name_of(decoded->message)) + " is no message for the " +
                                          std::string(to_string(kind_)) + " channel");
        return;
    }
    callbacks_.on_message(rank, std::move(decoded->message));
}

}  // namespace rankexec
