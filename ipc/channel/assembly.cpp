// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/assembly.hpp"

#include "rankexec/ipc/channel/channel_rules.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace rankexec {
namespace {

constexpr std::size_t kBodyFrame = 1;

/// From the system and not from the heap, which may have to write to what it gives; and in huge pages, where there are
/// some, because small ones cost several times what the copy costs.
std::shared_ptr<const void> reserve(std::size_t size, std::span<std::byte>& bytes) {
    void* const memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    ::madvise(memory, size, MADV_HUGEPAGE);
    bytes = {static_cast<std::byte*>(memory), size};
    return {memory, [size](const void* gone) { ::munmap(const_cast<void*>(gone), size); }};
}

std::string number(std::uint64_t value) { return std::to_string(value); }

}  // namespace

tl::expected<void, std::string> Assembly::add(const wire::MessagePart& part) {
    const auto wrong = [](std::string what) { return tl::unexpected("a part of a message: " + std::move(what)); };
    if (part.bytes.dtype() != DType::uint8 || part.bytes.shape().size() != 1) return wrong("it holds no plain bytes");
    const auto bytes = part.bytes.bytes();
    if (bytes.empty()) return wrong("it is empty");
    if (part.message == 0 || part.message > std::variant_size_v<wire::Message> ||
        part.message == wire::type_number<wire::MessagePart>() ||
        part.message == wire::type_number<wire::PartsTaken>() || stands_outside(part.message)) {
        return wrong("no message of type " + number(part.message) + " comes in parts");
    }
    if (type_ != 0 && part.message != type_) {
        return wrong("it is of a message of type " + number(part.message) + ", while one of type " + number(type_) +
                     " is incomplete");
    }
    const bool goes_on = !pieces_.empty() && pieces_.back().frame == part.frame;
    if (!goes_on) {
        if (auto begun = begin_frame(part); !begun) return wrong(std::move(begun.error()));
    }
    auto& piece = pieces_.back();
    if (part.size != piece.size) {
        return wrong("frame " + number(part.frame) + " has " + number(piece.size) + " bytes, then " +
                     number(part.size));
    }
    if (part.offset != piece.arrived) {
        return wrong("it begins at byte " + number(part.offset) + " of frame " + number(part.frame) + ", of which " +
                     number(piece.arrived) + " have come");
    }
    if (bytes.size() > piece.size - piece.arrived) return wrong("it ends beyond frame " + number(part.frame));
    if (!piece.bytes.empty()) std::memcpy(piece.bytes.data() + piece.arrived, bytes.data(), bytes.size());
    piece.arrived += bytes.size();
    return {};
}

tl::expected<void, std::string> Assembly::begin_frame(const wire::MessagePart& part) {
    const auto last = pieces_.empty() ? kBodyFrame - 1 : pieces_.back().frame;
    if (part.frame <= last || part.frame >= limits_.frames) {
        return tl::unexpected("frame " + number(part.frame) + " cannot follow frame " + number(last));
    }
    if (!pieces_.empty() && pieces_.back().arrived < pieces_.back().size) {
        return tl::unexpected("frame " + number(part.frame) + " begins while frame " + number(last) + " is incomplete");
    }
    const auto limit =
        part.frame == kBodyFrame ? std::min(limits_.body_bytes, limits_.message_bytes) : limits_.message_bytes;
    if (part.size > limit || part.size > limits_.message_bytes - total_) {
        return tl::unexpected("frame " + number(part.frame) + " of " + number(part.size) +
                              " bytes is over the limit of " + number(limit) + " bytes");
    }
    if (part.offset != 0) return tl::unexpected("the beginning of frame " + number(part.frame) + " is missing");
    Piece piece;
    piece.frame = part.frame;
    piece.size = part.size;
    piece.owner = reserve(piece.size, piece.bytes);
    total_ += piece.size;
    pieces_.push_back(std::move(piece));
    type_ = part.message;
    return {};
}

tl::expected<void, std::string> Assembly::complete(std::uint16_t type, std::vector<wire::Frame>& frames) {
    if (type_ == 0 || type != type_) return {};
    type_ = 0;
    total_ = 0;
    for (auto& piece : std::exchange(pieces_, {})) {
        if (piece.frame >= frames.size() || !frames[piece.frame].bytes.empty()) {
            return tl::unexpected("frame " + number(piece.frame) + " came in parts, but its message " +
                                  (piece.frame >= frames.size() ? "has no such frame" : "holds it, too"));
        }
        if (piece.arrived == piece.size) frames[piece.frame] = {piece.bytes, std::move(piece.owner)};
    }
    return {};
}

}  // namespace rankexec
