// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec::wire::test {

/// A message and the bytes it has on the wire, written down once and never changed: a change here is
/// a change of the protocol.
struct Golden {
    Message message;
    std::string_view body;                  ///< hexadecimal
    std::vector<std::string_view> tensors;  ///< hexadecimal, one per frame
};

/// At least one of every message type, with a value in every field, and the empty forms.
const std::vector<Golden>& goldens();

/// The envelope that every golden message is sent with; version and type are filled in by encode.
Envelope golden_envelope();
/// Its bytes for a message type.
std::vector<std::byte> golden_envelope_bytes(std::size_t type);

std::vector<std::byte> from_hex(std::string_view hex);
std::string to_hex(std::span<const std::byte> bytes);

/// A frame that owns its bytes.
Frame frame_of(std::vector<std::byte> bytes);
/// The frames of a golden message, from its bytes.
std::vector<Frame> frames_of(const Golden& golden);

/// A message with its own body bytes in place of the encoded ones.
std::vector<Frame> with_body(const Message& type_of, std::vector<std::byte> body);

}  // namespace rankexec::wire::test
