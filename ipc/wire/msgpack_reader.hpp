// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec::wire {

/// Reads msgpack element by element, straight from the bytes: no tree in between and no allocation
/// of its own. (The msgpack library offers a tree of objects, or a visitor that it calls; neither
/// lets a decoder say which type a field must have before the field's content is looked at.)
///
/// Every count is checked against the bytes that are really there: a container may not claim more
/// elements than bytes are left after all elements that enclosing containers still wait for. So
/// whoever reserves memory for `count` elements reserves, summed over the whole body, no more
/// elements than the body has bytes.
///
/// After the first error every call fails. Not thread-safe; `bytes` must outlive the reader.
class RANKEXEC_EXPORT MsgpackReader {
public:
    enum class Kind : std::uint8_t { nil, boolean, integer, real, text, bytes, array, map };

    struct Token {
        Kind kind = Kind::nil;
        bool boolean = false;
        std::int64_t integer = 0;
        double real = 0;
        std::size_t count = 0;            ///< elements of an array, entries of a map
        std::span<const std::byte> data;  ///< of text or bytes; lies in the reader's bytes

        [[nodiscard]] std::string_view text() const {
            return {reinterpret_cast<const char*>(data.data()), data.size()};
        }
    };

    MsgpackReader(std::span<const std::byte> bytes, const Limits& limits) : bytes_(bytes), limits_(&limits) {}

    /// The next element; of an array or map only its count, the elements follow.
    [[nodiscard]] bool next(Token& token) {
        if (!error_.empty()) return false;
        element_ = position_;
        if (owed_ == 0 || remaining() == 0 || nodes_ == limits_->nodes) return refuse_element();
        ++nodes_;
        --owed_;
        const auto format = std::to_integer<std::uint8_t>(bytes_[position_++]);
        // Without a call what most elements are: short text, small numbers.
        bool done = true;
        if (format <= 0x7f) {
            token.kind = Kind::integer;
            token.integer = format;
        } else {
            done = format >= 0xa0 && format <= 0xbf ? data(Kind::text, format & 0x1fU, token) : read(format, token);
        }
        // Every element that is still owed takes one byte at least.
        return done && (owed_ <= remaining() || refuse_count());
    }
    /// The next element, which must be of that kind.
    [[nodiscard]] bool next(Kind kind, Token& token) {
        return next(token) && (token.kind == kind || refuse_kind(kind, token.kind));
    }
    /// Whether a nil comes next; it is still to be read then.
    [[nodiscard]] bool next_is_nil() const noexcept;
    /// Passes over the next element with all that it contains.
    [[nodiscard]] bool skip();
    /// False when bytes follow the last element.
    [[nodiscard]] bool finish();
    /// How many bytes have been read.
    [[nodiscard]] std::size_t position() const noexcept { return position_; }

    /// Records what is wrong at this place and returns false.
    bool fail(std::string what);
    /// "byte 17: expected text, found map"; empty while all is well.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

private:
    [[nodiscard]] std::size_t remaining() const noexcept { return bytes_.size() - position_; }
    template <typename Unsigned>
    [[nodiscard]] bool load(Unsigned& number);
    [[nodiscard]] bool read(std::uint8_t format, Token& token);
    [[nodiscard]] bool read_sized(std::uint8_t format, Token& token);
    [[nodiscard]] bool read_number(std::uint8_t format, Token& token);
    template <typename Unsigned>
    [[nodiscard]] bool read_unsigned(Token& token);
    template <typename Signed>
    [[nodiscard]] bool read_signed(Token& token);
    template <typename Unsigned>
    [[nodiscard]] bool read_data(Kind kind, Token& token);
    template <typename Unsigned>
    [[nodiscard]] bool read_container(Kind kind, Token& token);
    [[nodiscard]] bool data(Kind kind, std::size_t size, Token& token) {
        if (size > limits_->text_bytes || size > remaining()) return refuse_data(kind, size);
        token.kind = kind;
        token.data = bytes_.subspan(position_, size);
        position_ += size;
        return true;
    }
    bool refuse_element();
    bool refuse_count();
    bool refuse_kind(Kind expected, Kind found);
    bool refuse_data(Kind kind, std::size_t size);
    [[nodiscard]] bool container(Kind kind, std::size_t count, Token& token);

    std::span<const std::byte> bytes_;
    const Limits* limits_;
    std::size_t position_ = 0;
    std::size_t element_ = 0;  ///< where the element being read begins
    std::size_t nodes_ = 0;
    std::uint64_t owed_ = 1;  ///< elements that were announced and not read yet; at first the root
    std::string error_;
};

}  // namespace rankexec::wire
