// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/transport/memory_ring.hpp"
#include "rankexec/ipc/wire/codec.hpp"

/// What the envelopes of messages in shared memory must say (PROTOCOL.md, section "Shared memory").
namespace rankexec {

struct RingIdentity {
    std::string run_id;
    std::uint32_t incarnation = 0;
    int rank = 0;  ///< who writes it, or wire::kAllRanks
};

/// Numbers and encodes what goes into one ring. One thread at a time.
class RANKEXEC_EXPORT RingOutbox {
public:
    explicit RingOutbox(RingIdentity identity) : identity_(std::move(identity)) {}

    /// As wire::encode and wire::with_envelope. The number is taken only by sent().
    [[nodiscard]] tl::expected<std::vector<wire::Frame>, std::string> encode(const wire::Message& message) const;
    [[nodiscard]] tl::expected<std::vector<wire::Frame>, std::string> encode(const wire::EncodedBody& body) const;
    /// What was encoded last is in the ring.
    void sent() noexcept { ++sent_; }

private:
    [[nodiscard]] wire::Envelope next() const;
    RingIdentity identity_;
    std::uint64_t sent_ = 0;
};

/// Checks and decodes what comes from one ring. One thread at a time.
class RANKEXEC_EXPORT RingInbox {
public:
    struct Read {
        std::optional<wire::Message> message;
        /// A message whose body makes no sense; its type is then known.
        std::optional<wire::DecodeError> bad_body;
        std::uint16_t type = 0;
        /// Nothing more must be read from this ring, because; empty: it may.
        std::string broken;

        /// In the place of a bad body what it counts as (stand_in_for()); where there is no such thing, the ring is
        /// broken.
        void put_stand_in();
    };

    explicit RingInbox(RingIdentity identity) : identity_(std::move(identity)) {}

    /// Nothing at all when there is no message.
    [[nodiscard]] Read read(MemoryReceived&& received);

private:
    RingIdentity identity_;
    std::uint64_t received_ = 0;
};

}  // namespace rankexec
