// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/stream_framing.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rankexec::wire {
namespace {

constexpr std::size_t kCountBytes = sizeof(std::uint32_t);
constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);

void append_little_endian(WipedBytes& out, std::uint64_t number, std::size_t size) {
    for (std::size_t index = 0; index < size; ++index) {
        out.push_back(static_cast<std::byte>(number & 0xffU));
        number >>= 8U;
    }
}

std::uint64_t little_endian(std::span<const std::byte> bytes) {
    std::uint64_t number = 0;
    for (std::size_t index = bytes.size(); index-- > 0;) {
        number = number << 8U | std::to_integer<std::uint64_t>(bytes[index]);
    }
    return number;
}

}  // namespace

WipedBytes frame_for_stream(std::span<const Frame> frames) {
    std::size_t size = kCountBytes;
    for (const auto& frame : frames) size += kLengthBytes + frame.bytes.size();
    WipedBytes out;
    out.reserve(size);
    append_little_endian(out, frames.size(), kCountBytes);
    for (const auto& frame : frames) {
        append_little_endian(out, frame.bytes.size(), kLengthBytes);
        out.insert(out.end(), frame.bytes.begin(), frame.bytes.end());
    }
    return out;
}

std::vector<Frame> pieces_for_stream(std::span<const Frame> frames) {
    const auto headers = std::make_shared<WipedBytes>();
    headers->reserve(kCountBytes + frames.size() * kLengthBytes);
    append_little_endian(*headers, frames.size(), kCountBytes);
    for (const auto& frame : frames) append_little_endian(*headers, frame.bytes.size(), kLengthBytes);
    std::vector<Frame> pieces;
    pieces.reserve(2 * frames.size());
    std::size_t begin = 0;
    std::size_t end = kCountBytes;
    for (const auto& frame : frames) {
        end += kLengthBytes;
        pieces.push_back({std::span<const std::byte>(*headers).subspan(begin, end - begin), headers});
        if (!frame.bytes.empty()) pieces.push_back(frame);
        begin = end;
    }
    return pieces;
}

void StreamDecoder::feed(std::span<const std::byte> bytes) {
    while (!bytes.empty() && !error_) {
        if (expecting_ != Expecting::bytes) {
            bytes = fill_header(bytes);
            continue;
        }
        const auto part = bytes.first(std::min(frame_left_, bytes.size()));
        frame_.insert(frame_.end(), part.begin(), part.end());
        frame_left_ -= part.size();
        bytes = bytes.subspan(part.size());
        if (frame_left_ == 0) finish_frame();
    }
}

tl::expected<std::optional<std::vector<Frame>>, DecodeError> StreamDecoder::next() {
    if (!complete_.empty()) {
        std::optional<std::vector<Frame>> message(std::move(complete_.front()));
        complete_.pop_front();
        return message;
    }
    if (error_) return tl::unexpected(*error_);
    return std::nullopt;
}

std::span<const std::byte> StreamDecoder::fill_header(std::span<const std::byte> bytes) {
    const auto size = expecting_ == Expecting::count ? kCountBytes : kLengthBytes;
    const auto part = bytes.first(std::min(size - header_filled_, bytes.size()));
    std::memcpy(header_ + header_filled_, part.data(), part.size());
    header_filled_ += part.size();
    if (header_filled_ == size) on_header();
    return bytes.subspan(part.size());
}

void StreamDecoder::on_header() {
    const auto number = little_endian(std::span(header_).first(header_filled_));
    header_filled_ = 0;
    if (expecting_ == Expecting::count) {
        on_count(number);
    } else {
        on_length(number);
    }
}

void StreamDecoder::on_count(std::uint64_t count) {
    if (count == 0) return fail("a message without frames");
    if (count > limits_.frames) {
        return fail(std::to_string(count) + " frames, over the limit of " + std::to_string(limits_.frames));
    }
    frames_left_ = count;
    message_bytes_ = 0;
    expecting_ = Expecting::length;
}

void StreamDecoder::on_length(std::uint64_t length) {
    const auto index = message_.size();
    const auto limit = index == 0   ? kEnvelopeBytes
                       : index == 1 ? std::min(limits_.body_bytes, limits_.message_bytes - message_bytes_)
                                    : limits_.message_bytes - message_bytes_;
    if (length > std::min(limit, limits_.message_bytes)) {
        return fail("frame " + std::to_string(index) + " of " + std::to_string(length) + " bytes, over the limit of " +
                    std::to_string(limit));
    }
    message_bytes_ += length;
    frame_left_ = length;
    expecting_ = Expecting::bytes;
    if (length == 0) finish_frame();
}

void StreamDecoder::finish_frame() {
    const auto owner = std::make_shared<const WipedBytes>(std::exchange(frame_, {}));
    message_.push_back({*owner, owner});
    expecting_ = Expecting::length;
    if (--frames_left_ > 0) return;
    complete_.push_back(std::exchange(message_, {}));
    expecting_ = Expecting::count;
}

void StreamDecoder::fail(std::string what) {
    error_ = DecodeError{DecodeError::Kind::protocol, "stream: " + std::move(what), std::nullopt};
    frame_ = {};
    message_ = {};
}

}  // namespace rankexec::wire
