// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/codec.hpp"
#include "rankexec/ipc/wire/fields.hpp"
#include "rankexec/ipc/wire/msgpack_reader.hpp"
#include "rankexec/ipc/wire/msgpack_writer.hpp"

/// How each C++ type looks inside a body. What one half writes the other reads.
namespace rankexec::wire {

/// True when `bytes` may be read as elements of that type: a boolean that is neither 0 nor 1 would be
/// undefined behaviour for whoever reads it.
[[nodiscard]] bool valid_elements(DType dtype, std::span<const std::byte> bytes);

/// Writes structs as arrays of their fields; tensors leave their bytes in frames.
class RANKEXEC_EXPORT BodyWriter {
public:
    BodyWriter(WipedBuffer& buffer, const Limits& limits) : out_(buffer, limits), limits_(&limits) {}

    template <WireStruct Struct>
    [[nodiscard]] bool write(const Struct& value) {
        const auto fields = Fields<Struct>::of(value);
        return out_.array(std::tuple_size_v<decltype(fields)>) &&
               std::apply([&](const auto&... field) { return (write(field) && ...); }, fields);
    }

    [[nodiscard]] const std::string& error() const noexcept { return out_.error(); }
    /// One per tensor, in the order in which the body names them.
    [[nodiscard]] std::vector<Frame>& tensor_frames() noexcept { return tensor_frames_; }

private:
    [[nodiscard]] bool write(bool value) { return out_.boolean(value); }
    template <std::integral Integer>
    [[nodiscard]] bool write(Integer value) {
        if (!std::in_range<std::int64_t>(value)) return out_.fail("an integer above 2^63 - 1");
        return out_.integer(static_cast<std::int64_t>(value));
    }
    template <typename Enum>
    requires std::is_enum_v<Enum>
    [[nodiscard]] bool write(Enum value) { return out_.integer(static_cast<std::int64_t>(value)); }

    [[nodiscard]] bool write(const std::string& value) { return out_.text(value); }
    [[nodiscard]] bool write(const Bytes& value) { return out_.bytes(value); }
    [[nodiscard]] bool write(const Value& value) { return write_value(value, 0); }
    [[nodiscard]] bool write(const Tensor& tensor);

    template <typename T>
    [[nodiscard]] bool write(const std::optional<T>& value) {
        return value ? write(*value) : out_.nil();
    }

    template <typename T>
    [[nodiscard]] bool write(const std::vector<T>& list) {
        if (!out_.array(list.size())) return false;
        for (const auto& element : list) {
            if (!write(element)) return false;
        }
        return true;
    }

    [[nodiscard]] bool write(const std::set<std::string, std::less<>>& names);

    template <typename T>
    [[nodiscard]] bool write(const std::map<std::string, T, std::less<>>& map) {
        return write_entries(map);
    }
    template <typename T>
    [[nodiscard]] bool write(const NameMap<T>& map) {
        return write_entries(map);
    }
    [[nodiscard]] bool write_entries(const auto& map) {
        if (!out_.map(map.size())) return false;
        for (const auto& [name, content] : map) {
            if (!out_.text(name) || !write(content)) return false;
        }
        return true;
    }

    [[nodiscard]] bool write_value(const Value& value, std::size_t depth);

    MsgpackWriter out_;
    const Limits* limits_;
    std::vector<Frame> tensor_frames_;
};

/// Reads straight into the structs.
class RANKEXEC_EXPORT BodyReader {
public:
    /// `frames` is the whole message; `body` is the one to read.
    BodyReader(std::span<const std::byte> body, std::span<const Frame> frames, const Limits& limits)
        : in_(body, limits), limits_(&limits), frames_(frames) {}

    template <WireStruct Struct>
    [[nodiscard]] bool read(Struct& value) {
        auto fields = Fields<Struct>::of(value);
        constexpr auto kCount = std::tuple_size_v<decltype(fields)>;
        std::size_t count = 0;
        return read_struct_header(kCount, count) &&
               std::apply([&](auto&... field) { return (read(field) && ...); }, fields) &&
               skip_elements(count - kCount);
    }

    /// False when bytes follow the body, or a frame was not used.
    [[nodiscard]] bool finish();
    [[nodiscard]] const std::string& error() const noexcept { return in_.error(); }

private:
    using Token = MsgpackReader::Token;
    using Kind = MsgpackReader::Kind;
    static constexpr auto kTwice = "a name that the map already has";
    /// Elements of a list or map that room is made for before they have come: a peer may announce more.
    static constexpr std::size_t kExpected = 1024;

    [[nodiscard]] bool read_struct_header(std::size_t fields, std::size_t& count);
    [[nodiscard]] bool skip_elements(std::size_t count);

    [[nodiscard]] bool read(bool& value);
    template <std::integral Integer>
    [[nodiscard]] bool read(Integer& value) {
        Token token;
        if (!in_.next(Kind::integer, token)) return false;
        if (!std::in_range<Integer>(token.integer)) return in_.fail("an integer out of its field's range");
        value = static_cast<Integer>(token.integer);
        return true;
    }

    [[nodiscard]] bool read(ReturnCode& value);
    [[nodiscard]] bool read(DType& value) { return read_enum(value, DType::boolean, DType::float64); }
    [[nodiscard]] bool read(Visibility& value) { return read_enum(value, Visibility::private_, Visibility::public_); }
    [[nodiscard]] bool read(Lifetime& value) { return read_enum(value, Lifetime::once, Lifetime::sticky); }
    [[nodiscard]] bool read(OutputStream& value) {
        return read_enum(value, OutputStream::standard_output, OutputStream::standard_error);
    }
    [[nodiscard]] bool read(StdinMode& value) { return read_enum(value, StdinMode::rank_zero, StdinMode::all); }

    [[nodiscard]] bool read(ResultsWanted& value) {
        return read_enum(value, ResultsWanted::rank_zero, ResultsWanted::all);
    }

    [[nodiscard]] bool read(Containment& value) {
        return read_enum(value, Containment::automatic, Containment::pid_namespace);
    }

    template <typename Enum>
    [[nodiscard]] bool read_enum(Enum& value, Enum first, Enum last) {
        Token token;
        if (!in_.next(Kind::integer, token)) return false;
        if (token.integer < static_cast<std::int64_t>(first) || token.integer > static_cast<std::int64_t>(last)) {
            return in_.fail("the number " + std::to_string(token.integer) + " has no meaning in its field");
        }
        value = static_cast<Enum>(token.integer);
        return true;
    }

    [[nodiscard]] bool read(std::string& value);
    [[nodiscard]] bool read(Bytes& value);
    [[nodiscard]] bool read(Value& value) {
        Token token;
        return in_.next(token) && read_value(token, value, 0);
    }
    [[nodiscard]] bool read(Tensor& tensor);

    template <typename T>
    [[nodiscard]] bool read(std::optional<T>& value) {
        if (in_.next_is_nil()) {
            value.reset();
            return in_.skip();
        }
        return read(value.emplace());
    }

    template <typename T>
    [[nodiscard]] bool read(std::vector<T>& list) {
        Token token;
        if (!in_.next(Kind::array, token)) return false;
        list.reserve(std::min(token.count, kExpected));
        for (std::size_t index = 0; index < token.count; ++index) {
            if (!read(list.emplace_back())) return false;
        }
        return true;
    }

    [[nodiscard]] bool read(std::set<std::string, std::less<>>& names);

    template <typename T>
    [[nodiscard]] bool read(std::map<std::string, T, std::less<>>& map) {
        Token token;
        if (!in_.next(Kind::map, token)) return false;
        for (auto count = token.count; count > 0; --count) {
            Token name;
            if (!in_.next(Kind::text, name)) return false;
            const auto size = map.size();
            // Names usually come sorted: the end is then the right place.
            const auto entry = map.try_emplace(map.end(), std::string(name.text()));
            if (map.size() == size) return in_.fail(kTwice);
            if (!read(entry->second)) return false;
        }
        return true;
    }

    template <typename T>
    [[nodiscard]] bool read(NameMap<T>& map) {
        Token token;
        if (!in_.next(Kind::map, token)) return false;
        typename NameMap<T>::Builder builder(std::min(token.count, kExpected));
        for (auto count = token.count; count > 0; --count) {
            Token name;
            if (!in_.next(Kind::text, name) || !read(builder.add(name.text()))) return false;
        }
        return finish(builder, map);
    }
    [[nodiscard]] bool read(NameMap<Value>& map) {
        Token token;
        return in_.next(Kind::map, token) && read_map(token.count, map, 0);
    }
    [[nodiscard]] bool read_map(std::size_t count, NameMap<Value>& map, std::size_t depth);
    template <typename T>
    [[nodiscard]] bool finish(typename NameMap<T>::Builder& builder, NameMap<T>& map) {
        auto built = builder.finish();
        if (!built) return in_.fail(kTwice);
        map = std::move(*built);
        return true;
    }

    [[nodiscard]] bool read_value(const Token& token, Value& value, std::size_t depth);

    MsgpackReader in_;
    const Limits* limits_;
    std::span<const Frame> frames_;
    std::size_t next_frame_ = 2;
};

}  // namespace rankexec::wire
