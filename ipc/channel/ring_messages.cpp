// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/ring_messages.hpp"

#include <utility>

#include "rankexec/ipc/channel/stand_in.hpp"

namespace rankexec {

wire::Envelope RingOutbox::next() const {
    wire::Envelope envelope;
    envelope.run_id = identity_.run_id;
    envelope.incarnation = identity_.incarnation;
    envelope.rank = identity_.rank;
    envelope.sequence = sent_ + 1;
    return envelope;
}

tl::expected<std::vector<wire::Frame>, std::string> RingOutbox::encode(const wire::Message& message) const {
    return wire::encode(next(), message);
}

tl::expected<std::vector<wire::Frame>, std::string> RingOutbox::encode(const wire::EncodedBody& body) const {
    return wire::with_envelope(next(), body);
}

void RingInbox::Read::put_stand_in() {
    message = stand_in_for(type, *bad_body);
    if (!message) broken = bad_body->message;
}

RingInbox::Read RingInbox::read(MemoryReceived&& received) {
    Read read;
    if (received.taken == RingReader::Taken::nothing) return read;
    if (received.taken == RingReader::Taken::corrupt) {
        read.broken = "its ring in shared memory makes no sense";
        return read;
    }
    auto decoded = wire::decode(received.frames);
    const auto envelope = decoded ? tl::expected<wire::Envelope, wire::DecodeError>(decoded->envelope)
                                  : wire::decode_envelope(received.frames.front().bytes);
    if (!envelope) {
        read.broken = envelope.error().message;
        return read;
    }
    if (envelope->run_id != identity_.run_id || envelope->incarnation != identity_.incarnation ||
        envelope->rank != identity_.rank || envelope->sequence != received_ + 1) {
        read.broken = "its shared memory holds a message of another run, or one that is out of order";
        return read;
    }
    received_ = envelope->sequence;
    read.type = envelope->type;
    if (decoded) {
        read.message = std::move(decoded->message);
    } else if (decoded.error().kind == wire::DecodeError::Kind::protocol) {
        read.broken = decoded.error().message;
    } else {
        read.bad_body = decoded.error();
        if (!received.error.empty()) read.bad_body->message = std::move(received.error);
    }
    return read;
}

}  // namespace rankexec
