// SPDX-License-Identifier: Apache-2.0
// The reader against the msgpack library, as two opinions on the same bytes.
#include <gtest/gtest.h>

#include <msgpack/unpack.hpp>
#include <random>
#include <utility>

#include "samples.hpp"

namespace rankexec::wire::test {
namespace {

/// The library's object as a Value; nothing for what this protocol does not use.
std::optional<Value> to_value(const msgpack::object& object, std::size_t depth = 0) {
    switch (object.type) {
        case msgpack::type::NIL: return Value();
        case msgpack::type::BOOLEAN: return Value(object.via.boolean);
        case msgpack::type::POSITIVE_INTEGER:
            if (!std::in_range<std::int64_t>(object.via.u64)) return std::nullopt;
            return Value(static_cast<std::int64_t>(object.via.u64));
        case msgpack::type::NEGATIVE_INTEGER: return Value(object.via.i64);
        case msgpack::type::FLOAT32:
        case msgpack::type::FLOAT64: return Value(object.via.f64);
        case msgpack::type::STR: return Value(std::string(object.via.str.ptr, object.via.str.size));
        case msgpack::type::BIN: {
            const auto bytes = std::as_bytes(std::span(object.via.bin.ptr, object.via.bin.size));
            return Value(Bytes(bytes.begin(), bytes.end()));
        }
        case msgpack::type::ARRAY: {
            if (depth == Limits{}.depth) return std::nullopt;
            Value::Array array;
            for (std::uint32_t index = 0; index < object.via.array.size; ++index) {
                auto element = to_value(object.via.array.ptr[index], depth + 1);
                if (!element) return std::nullopt;
                array.push_back(std::move(*element));
            }
            return Value(std::move(array));
        }
        case msgpack::type::MAP: {
            if (depth == Limits{}.depth) return std::nullopt;
            Value::Map map;
            for (std::uint32_t index = 0; index < object.via.map.size; ++index) {
                const auto& [key, content] = object.via.map.ptr[index];
                auto value = to_value(content, depth + 1);
                if (key.type != msgpack::type::STR || !value) return std::nullopt;
                const std::string name(key.via.str.ptr, key.via.str.size);
                if (!map.emplace(name, std::move(*value)).second) return std::nullopt;
            }
            return Value(std::move(map));
        }
        case msgpack::type::EXT: return std::nullopt;
    }
    return std::nullopt;
}

std::optional<Value> as_the_library_reads(std::span<const std::byte> bytes) {
    try {
        const auto* data = reinterpret_cast<const char*>(bytes.data());
        std::size_t offset = 0;
        const msgpack::unpack_limit limit(100'000, 100'000, 100'000, 100'000, 100'000, 1000);
        const auto handle = msgpack::unpack(data, bytes.size(), offset, nullptr, nullptr, limit);
        if (offset != bytes.size()) return std::nullopt;
        return to_value(handle.get());
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

std::optional<Value> as_we_read(std::span<const std::byte> bytes) {
    auto body = from_hex("9500a000809580");
    body.insert(body.end(), bytes.begin(), bytes.end());
    for (const auto byte : from_hex("8000c0")) body.push_back(byte);
    auto decoded = decode(with_body(Execute{}, std::move(body)));
    if (!decoded) return std::nullopt;
    return std::move(std::get<Execute>(decoded->message).input.body);
}

/// Random msgpack that is mostly well-formed, so that the tests get past the first byte.
class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}

    std::vector<std::byte> make() {
        out_.clear();
        element(0);
        if (below(3) == 0 && !out_.empty()) out_[below(out_.size())] = static_cast<std::byte>(below(256));
        if (below(8) == 0) out_.resize(below(out_.size() + 1));
        return out_;
    }

private:
    std::size_t below(std::size_t bound) { return random_() % bound; }
    void put(std::size_t byte) { out_.push_back(static_cast<std::byte>(byte)); }
    void put_big_endian(std::size_t number, unsigned bytes) {
        for (; bytes > 0; --bytes) put(number >> (8 * (bytes - 1)) & 0xffU);
    }

    /// A head with a count in one of the widths that the format has.
    void head(std::size_t count, std::size_t fixed, std::size_t first_wide, bool has_eight_bit) {
        const auto width = below(4);
        if (width == 0 && fixed != 0 && count < 16) return put(fixed | count);
        if (width == 1 && has_eight_bit) {
            put(first_wide);
            return put_big_endian(count, 1);
        }
        put(first_wide + (has_eight_bit ? 1U : 0U) + (width == 2 ? 1U : 0U));
        put_big_endian(count, width == 2 ? 4 : 2);
    }

    void element(unsigned depth) {
        switch (below(depth > 4 ? 5 : 7)) {
            case 0: return put(below(256));
            case 1: {
                static constexpr unsigned kWidths[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
                const auto kind = below(10);
                put(0xcaU + kind);
                return put_big_endian((static_cast<std::size_t>(random_()) << 32U) + random_(), kWidths[kind]);
            }
            case 2: return put(0xc0U + below(4));
            case 3: return text();
            case 4: {
                const auto size = below(4);
                head(size, 0, 0xc4, true);
                for (std::size_t index = 0; index < size; ++index) put(below(256));
                return;
            }
            case 5: {
                const auto count = below(4);
                head(count, 0x90, 0xdc, false);
                for (std::size_t index = 0; index < count; ++index) element(depth + 1);
                return;
            }
            default: {
                const auto count = below(4);
                head(count, 0x80, 0xde, false);
                for (std::size_t index = 0; index < count; ++index) {
                    text();
                    element(depth + 1);
                }
            }
        }
    }

    void text() {
        const auto size = below(3);
        head(size, 0xa0, 0xd9, true);
        for (std::size_t index = 0; index < size; ++index) put(below(256));
    }

    std::mt19937 random_;
    std::vector<std::byte> out_;
};

TEST(LibraryAgreement, BothAcceptTheSameBytesAndReadTheSameValues) {
    Generator generator(7);
    int accepted = 0;
    for (int round = 0; round < 50'000; ++round) {
        const auto bytes = generator.make();
        const auto ours = as_we_read(bytes);
        const auto theirs = as_the_library_reads(bytes);
        ASSERT_EQ(ours.has_value(), theirs.has_value()) << to_hex(bytes);
        if (!ours) continue;
        ++accepted;
        ASSERT_TRUE(*ours == *theirs) << to_hex(bytes);
    }
    EXPECT_GT(accepted, 10'000);
}

TEST(LibraryAgreement, TheLibraryReadsEveryGoldenBody) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        EXPECT_TRUE(as_the_library_reads(from_hex(golden.body)));
    }
}

}  // namespace
}  // namespace rankexec::wire::test
