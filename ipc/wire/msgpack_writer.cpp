// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/msgpack_writer.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <msgpack/pack.hpp>
#include <utility>

namespace rankexec::wire {
namespace {

struct Sink {
    WipedBytes* buffer;
    void write(const char* data, std::size_t size) {
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        buffer->insert(buffer->end(), bytes, bytes + size);
    }
};

template <typename Pack>
void pack_into(WipedBytes& buffer, const Pack& pack) {
    Sink sink{&buffer};
    msgpack::packer<Sink> packer(sink);
    pack(packer);
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
    return false;
}

bool MsgpackWriter::begin_element() {
    if (!error_.empty()) return false;
    if (nodes_ == limits_->nodes) return fail(too_many_nodes(*limits_));
    ++nodes_;
    return true;
}

bool MsgpackWriter::end_element() {
    if (buffer_->size() - begin_ <= limits_->body_bytes) return true;
    return fail("more than " + std::to_string(limits_->body_bytes) +
                " bytes besides tensors; bulk data belongs into tensors");
}

bool MsgpackWriter::fits(std::string_view what, std::size_t size) {
    const auto limit = std::min<std::size_t>(limits_->text_bytes, std::numeric_limits<std::uint32_t>::max());
    if (size <= limit) return true;
    return fail(std::string(what) + " of " + std::to_string(size) + " bytes, over the limit of " +
                std::to_string(limit) + "; bulk data belongs into tensors");
}

bool MsgpackWriter::nil() {
    if (!begin_element()) return false;
    pack_into(*buffer_, [](auto& packer) { packer.pack_nil(); });
    return end_element();
}

bool MsgpackWriter::boolean(bool value) {
    if (!begin_element()) return false;
    pack_into(*buffer_, [&](auto& packer) { value ? packer.pack_true() : packer.pack_false(); });
    return end_element();
}

bool MsgpackWriter::integer(std::int64_t value) {
    if (!begin_element()) return false;
    pack_into(*buffer_, [&](auto& packer) { packer.pack_int64(value); });
    return end_element();
}

bool MsgpackWriter::real(double value) {
    if (!begin_element()) return false;
    // Not by the library: it packs 1.0 as the integer 1, and a real must arrive as a real.
    buffer_->push_back(std::byte{0xcb});
    const auto bits = std::bit_cast<std::uint64_t>(value);
    for (unsigned shift = 64; shift > 0; shift -= 8) {
        buffer_->push_back(static_cast<std::byte>(bits >> (shift - 8) & 0xffU));
    }
    return end_element();
}

bool MsgpackWriter::text(std::string_view value) {
    if (!begin_element() || !fits("text", value.size())) return false;
    pack_into(*buffer_, [&](auto& packer) {
        packer.pack_str(static_cast<std::uint32_t>(value.size()));
        packer.pack_str_body(value.data(), static_cast<std::uint32_t>(value.size()));
    });
    return end_element();
}

bool MsgpackWriter::bytes(std::span<const std::byte> value) {
    if (!begin_element() || !fits("bytes", value.size())) return false;
    pack_into(*buffer_, [&](auto& packer) {
        packer.pack_bin(static_cast<std::uint32_t>(value.size()));
        packer.pack_bin_body(reinterpret_cast<const char*>(value.data()), static_cast<std::uint32_t>(value.size()));
    });
    return end_element();
}

bool MsgpackWriter::array(std::size_t count) {
    if (!begin_element()) return false;
    if (count > max_count(*limits_)) return fail(too_many_nodes(*limits_));
    pack_into(*buffer_, [&](auto& packer) { packer.pack_array(static_cast<std::uint32_t>(count)); });
    return end_element();
}

bool MsgpackWriter::map(std::size_t count) {
    if (!begin_element()) return false;
    if (count > max_count(*limits_)) return fail(too_many_nodes(*limits_));
    pack_into(*buffer_, [&](auto& packer) { packer.pack_map(static_cast<std::uint32_t>(count)); });
    return end_element();
}

}  // namespace rankexec::wire
