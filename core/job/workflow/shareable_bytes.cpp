// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/shareable_bytes.hpp"

#include <sodium.h>

#include <array>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "rankexec/ipc/wire/codec.hpp"
#include "rankexec/ipc/wire/packed_frames.hpp"

namespace rankexec::job {
namespace {

/// The message of the wire that is nothing but a Shareable.
wire::Message message_of(const Shareable& shareable) {
    wire::Result result;
    result.reply = shareable;
    return result;
}

}  // namespace

tl::expected<Bytes, std::string> to_bytes(const Shareable& shareable) {
    const auto frames = wire::encode({}, message_of(shareable));
    if (!frames) return tl::unexpected(frames.error());
    std::vector<wire::PackedFrame> packed;
    for (const auto& frame : *frames) packed.push_back({frame, false});
    wire::FramePacker packer;
    Bytes bytes;
    for (const auto& piece : packer.pack(packed)) bytes.insert(bytes.end(), piece.begin(), piece.end());
    return bytes;
}

tl::expected<Shareable, std::string> shareable_from(std::span<const std::byte> bytes) {
    const auto held = std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
    const auto packed = wire::unpack_frames(held);
    if (!packed) return tl::unexpected(packed.error());
    std::vector<wire::Frame> frames;
    for (const auto& each : *packed) {
        if (each.elsewhere) return tl::unexpected(std::string("a frame is elsewhere"));
        frames.push_back(each.frame);
    }
    auto decoded = wire::decode(frames);
    if (!decoded) return tl::unexpected(decoded.error().message);
    auto* result = std::get_if<wire::Result>(&decoded->message);
    if (result == nullptr) return tl::unexpected(std::string("it is a message of another kind"));
    return std::move(result->reply);
}

tl::expected<std::string, std::string> digest_of(const Shareable& shareable) {
    const auto body = wire::encode_body(message_of(shareable));
    if (!body) return tl::unexpected(body.error());
    crypto_generichash_state state;
    constexpr std::size_t kBytes = 16;
    crypto_generichash_init(&state, nullptr, 0, kBytes);
    for (const auto& frame : body->frames) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(frame.bytes.data());
        crypto_generichash_update(&state, bytes, frame.bytes.size());
    }
    std::array<unsigned char, kBytes> hash{};
    crypto_generichash_final(&state, hash.data(), hash.size());
    std::array<char, 2 * kBytes + 1> text{};
    sodium_bin2hex(text.data(), text.size(), hash.data(), hash.size());
    return std::string(text.data());
}

}  // namespace rankexec::job
