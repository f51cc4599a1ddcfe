// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/msgpack_reader.hpp"

#include <bit>
#include <type_traits>
#include <utility>

namespace rankexec::wire {
namespace {

std::string_view name_of(MsgpackReader::Kind kind) {
    switch (kind) {
        case MsgpackReader::Kind::nil: return "nil";
        case MsgpackReader::Kind::boolean: return "boolean";
        case MsgpackReader::Kind::integer: return "integer";
        case MsgpackReader::Kind::real: return "real";
        case MsgpackReader::Kind::text: return "text";
        case MsgpackReader::Kind::bytes: return "bytes";
        case MsgpackReader::Kind::array: return "array";
        case MsgpackReader::Kind::map: return "map";
    }
    return "unknown";
}

}  // namespace

bool MsgpackReader::fail(std::string what) {
    if (error_.empty()) error_ = "byte " + std::to_string(element_) + ": " + std::move(what);
    return false;
}

bool MsgpackReader::refuse_element() {
    if (owed_ == 0) return fail("an element more than was announced");
    if (remaining() == 0) return fail("ends early");
    return fail("more than " + std::to_string(limits_->nodes) + " values");
}

bool MsgpackReader::refuse_count() { return fail("ends early: more elements are announced than bytes follow"); }

bool MsgpackReader::refuse_kind(Kind expected, Kind found) {
    return fail("expected " + std::string(name_of(expected)) + ", found " + std::string(name_of(found)));
}

bool MsgpackReader::refuse_data(Kind kind, std::size_t size) {
    if (size <= limits_->text_bytes) return fail("ends early");
    return fail(std::string(name_of(kind)) + " of " + std::to_string(size) + " bytes, over the limit of " +
                std::to_string(limits_->text_bytes));
}

bool MsgpackReader::next_is_nil() const noexcept { return remaining() > 0 && bytes_[position_] == std::byte{0xc0}; }

bool MsgpackReader::skip() {
    // Counts instead of recursing, so that nesting costs no stack.
    const auto until = owed_ - 1;
    Token token;
    do {
        if (!next(token)) return false;
    } while (owed_ > until);
    return true;
}

bool MsgpackReader::finish() {
    if (!error_.empty()) return false;
    element_ = position_;
    if (remaining() != 0) return fail(std::to_string(remaining()) + " bytes follow the end");
    return true;
}

template <typename Unsigned>
bool MsgpackReader::load(Unsigned& number) {
    if (remaining() < sizeof(Unsigned)) return fail("ends early");
    std::uint64_t value = 0;
    for (std::size_t index = 0; index < sizeof(Unsigned); ++index) {
        value = value << 8U | std::to_integer<std::uint64_t>(bytes_[position_ + index]);
    }
    position_ += sizeof(Unsigned);
    number = static_cast<Unsigned>(value);
    return true;
}

template <typename Unsigned>
bool MsgpackReader::read_unsigned(Token& token) {
    Unsigned number = 0;
    if (!load(number)) return false;
    if (!std::in_range<std::int64_t>(number)) return fail("an integer above 2^63 - 1");
    token.kind = Kind::integer;
    token.integer = static_cast<std::int64_t>(number);
    return true;
}

template <typename Signed>
bool MsgpackReader::read_signed(Token& token) {
    std::make_unsigned_t<Signed> number = 0;
    if (!load(number)) return false;
    token.kind = Kind::integer;
    token.integer = static_cast<Signed>(number);  // NOLINT(bugprone-signed-char-misuse): a number, no character
    return true;
}

bool MsgpackReader::container(Kind kind, std::size_t count, Token& token) {
    token.kind = kind;
    token.count = count;
    owed_ += kind == Kind::map ? std::uint64_t{2} * count : count;
    return true;
}

template <typename Unsigned>
bool MsgpackReader::read_data(Kind kind, Token& token) {
    Unsigned size = 0;
    return load(size) && data(kind, size, token);
}

template <typename Unsigned>
bool MsgpackReader::read_container(Kind kind, Token& token) {
    Unsigned count = 0;
    return load(count) && container(kind, count, token);
}

bool MsgpackReader::read(std::uint8_t format, Token& token) {
    // One byte that holds both type and value or size.
    if (format <= 0x7f || format >= 0xe0) {
        token.kind = Kind::integer;
        token.integer = static_cast<std::int8_t>(format);  // NOLINT(bugprone-signed-char-misuse): a number
        return true;
    }
    if (format <= 0x8f) return container(Kind::map, format & 0x0fU, token);
    if (format <= 0x9f) return container(Kind::array, format & 0x0fU, token);
    switch (format) {
        case 0xc0: token.kind = Kind::nil; return true;
        case 0xc2:
        case 0xc3:
            token.kind = Kind::boolean;
            token.boolean = format == 0xc3;
            return true;
        default: return format >= 0xca && format <= 0xd3 ? read_number(format, token) : read_sized(format, token);
    }
}

bool MsgpackReader::read_number(std::uint8_t format, Token& token) {
    switch (format) {
        case 0xca: {
            std::uint32_t bits = 0;
            if (!load(bits)) return false;
            token.kind = Kind::real;
            token.real = std::bit_cast<float>(bits);
            return true;
        }
        case 0xcb: {
            std::uint64_t bits = 0;
            if (!load(bits)) return false;
            token.kind = Kind::real;
            token.real = std::bit_cast<double>(bits);
            return true;
        }
        case 0xcc: return read_unsigned<std::uint8_t>(token);
        case 0xcd: return read_unsigned<std::uint16_t>(token);
        case 0xce: return read_unsigned<std::uint32_t>(token);
        case 0xcf: return read_unsigned<std::uint64_t>(token);
        case 0xd0: return read_signed<std::int8_t>(token);
        case 0xd1: return read_signed<std::int16_t>(token);
        case 0xd2: return read_signed<std::int32_t>(token);
        default: return read_signed<std::int64_t>(token);
    }
}

bool MsgpackReader::read_sized(std::uint8_t format, Token& token) {
    switch (format) {
        case 0xc4: return read_data<std::uint8_t>(Kind::bytes, token);
        case 0xc5: return read_data<std::uint16_t>(Kind::bytes, token);
        case 0xc6: return read_data<std::uint32_t>(Kind::bytes, token);
        case 0xd9: return read_data<std::uint8_t>(Kind::text, token);
        case 0xda: return read_data<std::uint16_t>(Kind::text, token);
        case 0xdb: return read_data<std::uint32_t>(Kind::text, token);
        case 0xdc: return read_container<std::uint16_t>(Kind::array, token);
        case 0xdd: return read_container<std::uint32_t>(Kind::array, token);
        case 0xde: return read_container<std::uint16_t>(Kind::map, token);
        case 0xdf: return read_container<std::uint32_t>(Kind::map, token);
        // 0xc1 is reserved; extension types carry nothing that a value can express.
        default: return fail("format byte " + std::to_string(format) + " is not used in this protocol");
    }
}

}  // namespace rankexec::wire
