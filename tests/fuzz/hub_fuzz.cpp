// SPDX-License-Identifier: Apache-2.0
// Fuzz target of what an end of a hub receives: an input is the parts of a message, each behind its length in two bytes
// (little-endian; 65535: a full part of zeros, as every part of a frame but its last is). Whatever they hold is read;
// what is an envelope, and what is a content, survive another round trip.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "rankexec/ipc/hub/hub_messages.hpp"

namespace {

using namespace rankexec;

/// Not assert(), which a release build leaves out.
void require(bool holds) {
    if (!holds) std::abort();
}

constexpr std::size_t kFullPart = 65535;
constexpr std::size_t kMostFull = 4;

std::vector<wire::Frame> parts_of(const std::uint8_t* data, std::size_t size) {
    static const std::vector<std::byte> full(hub::kPartBytes);
    std::vector<wire::Frame> parts;
    std::size_t fulls = 0;
    while (size >= 2) {
        std::size_t length = data[0] | static_cast<std::size_t>(data[1]) << 8U;
        data += 2;
        size -= 2;
        if (length == kFullPart) {
            if (++fulls > kMostFull) continue;
            parts.push_back({full, nullptr});
            continue;
        }
        length = std::min(length, size);
        // Each on its own, so that what reads beyond it is seen.
        const std::shared_ptr<std::byte[]> copy(new std::byte[length]);
        if (length > 0) std::memcpy(copy.get(), data, length);
        parts.push_back({{copy.get(), length}, copy});
        data += length;
        size -= length;
    }
    return parts;
}

void check_envelope(const wire::Frame& part) {
    const auto envelope = hub::decode_envelope(part.bytes);
    if (!envelope) return require(!envelope.error().what.empty());
    const auto again = hub::encode_envelope(*envelope);
    require(again.bytes.size() <= hub::kEnvelopeBytes);
    const auto read = hub::decode_envelope(again.bytes);
    require(read.has_value() && *read == *envelope);
}

void check_body(const hub::Body& body, const wire::Limits& limits) {
    const auto content = hub::decode_body(body, limits);
    if (!content) return require(!content.error().empty());
    const auto again = hub::encode_body("topic", *content, limits);
    require(again.has_value());
    for (const auto& part : **again) require(part.bytes.size() <= hub::kPartBytes);
    const auto read = hub::decode_body(*again, limits);
    require(read.has_value() && *read == *content);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const wire::Limits limits{.body_bytes = std::size_t{64} << 10U, .message_bytes = std::size_t{3} << 20U};
    const auto parts = parts_of(data, size);
    if (parts.empty()) return 0;
    check_envelope(parts.front());
    check_body(std::make_shared<std::vector<wire::Frame>>(parts.begin() + 1, parts.end()), limits);
    return 0;
}
