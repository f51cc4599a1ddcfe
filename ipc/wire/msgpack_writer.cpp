// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/msgpack_writer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <msgpack/pack.hpp>
#include <utility>

namespace rankexec::wire {
namespace {

/// Where the library's packer writes: memory that is large enough.
struct Sink {
    std::byte* position;
    void write(const char* data, std::size_t size) {
        std::memcpy(position, data, size);
        position += size;
    }
};

/// The longest that msgpack writes for a number, or before the content of an element.
constexpr std::size_t kHeader = 9;

/// Elements of an array, or entries of a map, whose count goes into the byte that names the kind.
constexpr std::size_t kMostInOneByte = 15;

/// At most 31 bytes, in copies of fixed sizes that overlap: a call for each name costs more than the copy.
void copy_short(std::byte* to, const char* from, std::size_t size) {
    const auto both_ends = [&](auto part) {
        constexpr auto kPart = sizeof part;
        std::memcpy(&part, from, kPart);
        auto last = part;
        std::memcpy(&last, from + size - kPart, kPart);
        std::memcpy(to, &part, kPart);
        std::memcpy(to + size - kPart, &last, kPart);
    };
    if (size >= 16) {
        both_ends(std::array<std::uint64_t, 2>{});
    } else if (size >= 8) {
        both_ends(std::uint64_t{});
    } else if (size >= 4) {
        both_ends(std::uint32_t{});
    } else {
        for (std::size_t index = 0; index < size; ++index) to[index] = static_cast<std::byte>(from[index]);
    }
}

std::string too_many_nodes(const Limits& limits) {
    return "more than " + std::to_string(limits.nodes) + " values; bulk data belongs into tensors";
}

std::size_t max_count(const Limits& limits) {
    return std::min<std::size_t>(limits.nodes, std::numeric_limits<std::uint32_t>::max());
}

}  // namespace

bool MsgpackWriter::fail(std::string what) {
    if (error_.empty()) error_ = std::move(what);
    nodes_left_ = 0;
    return false;
}

std::byte* MsgpackWriter::refuse_element() {
    fail(too_many_nodes(*limits_));
    return nullptr;
}

bool MsgpackWriter::end_element(const std::byte* end) {
    const auto size = static_cast<std::size_t>(end - buffer_->data());
    buffer_->shorten(buffer_->size() - size);
    return size - begin_ <= limits_->body_bytes || refuse_size();
}

bool MsgpackWriter::refuse_size() {
    return fail("more than " + std::to_string(limits_->body_bytes) +
                " bytes besides tensors; bulk data belongs into tensors");
}

bool MsgpackWriter::fits(std::string_view what, std::size_t size) {
    const auto limit = std::min<std::size_t>(limits_->text_bytes, std::numeric_limits<std::uint32_t>::max());
    if (size <= limit) return true;
    return fail(std::string(what) + " of " + std::to_string(size) + " bytes, over the limit of " +
                std::to_string(limit) + "; bulk data belongs into tensors");
}

bool MsgpackWriter::pack(const auto& write) {
    auto* const begin = begin_element(kHeader);
    if (begin == nullptr) return false;
    Sink sink{begin};
    msgpack::packer<Sink> packer(sink);
    write(packer);
    return end_element(sink.position);
}

bool MsgpackWriter::nil() {
    return pack([](auto& packer) { packer.pack_nil(); });
}

bool MsgpackWriter::boolean(bool value) {
    return pack([&](auto& packer) { value ? packer.pack_true() : packer.pack_false(); });
}

bool MsgpackWriter::one_byte(unsigned byte) {
    auto* const position = begin_element(1);
    if (position == nullptr) return false;
    *position = static_cast<std::byte>(byte);
    return buffer_->size() - begin_ <= limits_->body_bytes || refuse_size();
}

bool MsgpackWriter::integer(std::int64_t value) {
    if (value >= 0 && value <= 0x7f) return one_byte(static_cast<unsigned>(value));
    return pack([&](auto& packer) { packer.pack_int64(value); });
}

bool MsgpackWriter::real(double value) {
    auto* position = begin_element(kHeader);
    if (position == nullptr) return false;
    // Not by the library: it packs 1.0 as the integer 1, and a real must arrive as a real.
    *position++ = std::byte{0xcb};
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (unsigned shift = 64; shift > 0; shift -= 8) *position++ = static_cast<std::byte>(bits >> (shift - 8) & 0xffU);
    return end_element(position);
}

bool MsgpackWriter::text(std::string_view value) {
    // Most are short, and half of all elements are names: one byte before the content, in one go.
    constexpr std::size_t kShort = 31;
    if (value.size() > kShort || value.size() > limits_->text_bytes) return long_text(value);
    auto* const position = begin_element(1 + value.size());
    if (position == nullptr) return false;
    *position = static_cast<std::byte>(0xa0U | value.size());
    copy_short(position + 1, value.data(), value.size());
    if (buffer_->size() - begin_ > limits_->body_bytes) return refuse_size();
    return true;
}

bool MsgpackWriter::long_text(std::string_view value) {
    const auto size = static_cast<std::uint32_t>(value.size());
    return fits("text", value.size()) && pack([&](auto& packer) { packer.pack_str(size); }) &&
           append(value.data(), size);
}

bool MsgpackWriter::bytes(std::span<const std::byte> value) {
    const auto size = static_cast<std::uint32_t>(value.size());
    return fits("bytes", value.size()) && pack([&](auto& packer) { packer.pack_bin(size); }) &&
           append(value.data(), size);
}

/// The content of the element before it.
bool MsgpackWriter::append(const void* content, std::size_t size) {
    auto* const position = buffer_->extend(size);
    if (size > 0) std::memcpy(position, content, size);
    return end_element(position + size);
}

bool MsgpackWriter::array(std::size_t count) {
    if (count > max_count(*limits_)) return fail(too_many_nodes(*limits_));
    if (count <= kMostInOneByte) return one_byte(0x90U | static_cast<unsigned>(count));
    return pack([&](auto& packer) { packer.pack_array(static_cast<std::uint32_t>(count)); });
}

bool MsgpackWriter::map(std::size_t count) {
    if (count > max_count(*limits_)) return fail(too_many_nodes(*limits_));
    if (count <= kMostInOneByte) return one_byte(0x80U | static_cast<unsigned>(count));
    return pack([&](auto& packer) { packer.pack_map(static_cast<std::uint32_t>(count)); });
}

}  // namespace rankexec::wire
