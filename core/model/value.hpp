// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/name_map.hpp"

namespace rankexec {

using Bytes = std::vector<std::byte>;

/// One node of a value tree: nothing, a scalar, text, bytes, a list or a map with string keys.
/// This is all that headers, properties, component arguments and message bodies are made of; bulk
/// numbers belong into a Tensor. Integers are signed 64-bit; a larger one cannot be expressed and is
/// refused at the border (JSON, TOML, wire) instead of being bent into a double.
///
/// A value type without shared state: copies are deep, and distinct objects may be used from
/// distinct threads.
class RANKEXEC_EXPORT Value {
public:
    using Array = std::vector<Value>;
    /// Ordered, so that equal trees have equal encodings.
    using Map = NameMap<Value>;

    enum class Kind { null, boolean, integer, real, text, bytes, array, map };

    Value() = default;
    Value(std::nullptr_t) {}
    Value(bool value) : data_(value) {}
    Value(int value) : data_(static_cast<std::int64_t>(value)) {}
    Value(std::int64_t value) : data_(value) {}
    Value(double value) : data_(value) {}
    Value(const char* value) : data_(std::string(value)) {}
    Value(std::string value) : data_(std::move(value)) {}
    Value(std::string_view value) : data_(std::string(value)) {}
    Value(Bytes value) : data_(std::move(value)) {}
    Value(Array value) : data_(std::move(value)) {}
    Value(Map value) : data_(std::move(value)) {}

    // Without recursion: a tree that user code makes may be deeper than a stack.
    ~Value() {
        if (kind() >= Kind::array) release();
    }
    Value(const Value& other);
    Value(Value&& other) noexcept = default;
    Value& operator=(const Value& other) {
        if (this != &other) data_ = std::move(Value(other).data_);
        return *this;
    }
    Value& operator=(Value&& other) noexcept {
        // What is moved here may be part of what this holds.
        auto taken = std::move(other.data_);
        data_ = std::move(taken);
        return *this;
    }

    [[nodiscard]] Kind kind() const noexcept { return static_cast<Kind>(data_.index()); }
    [[nodiscard]] bool is_null() const noexcept { return kind() == Kind::null; }

    /// Pointer to the content when it is of that kind, otherwise nullptr. Valid until the value is
    /// assigned or destroyed.
    [[nodiscard]] const bool* if_boolean() const noexcept { return std::get_if<bool>(&data_); }
    [[nodiscard]] const std::int64_t* if_integer() const noexcept { return std::get_if<std::int64_t>(&data_); }
    [[nodiscard]] const double* if_real() const noexcept { return std::get_if<double>(&data_); }
    [[nodiscard]] const std::string* if_text() const noexcept { return std::get_if<std::string>(&data_); }
    [[nodiscard]] const Bytes* if_bytes() const noexcept { return std::get_if<Bytes>(&data_); }
    [[nodiscard]] const Array* if_array() const noexcept { return std::get_if<Array>(&data_); }
    [[nodiscard]] const Map* if_map() const noexcept { return std::get_if<Map>(&data_); }
    [[nodiscard]] Array* if_array() noexcept { return std::get_if<Array>(&data_); }
    [[nodiscard]] Map* if_map() noexcept { return std::get_if<Map>(&data_); }

    /// The content, or `fallback` when the value is of another kind. `real_or` takes integers too.
    [[nodiscard]] bool boolean_or(bool fallback) const noexcept;
    [[nodiscard]] std::int64_t integer_or(std::int64_t fallback) const noexcept;
    [[nodiscard]] double real_or(double fallback) const noexcept;
    [[nodiscard]] std::string text_or(std::string_view fallback) const;

    /// The member `key` of a map; nullptr when this is no map or has no such member.
    [[nodiscard]] const Value* find(std::string_view key) const noexcept;

    /// Member access for building trees: a null value becomes a map first.
    /// Throws std::logic_error when the value is something else than null or a map.
    Value& operator[](std::string_view key);

    /// Compares kind and content; an integer never equals a real, and NaN equals NaN of the same bits,
    /// so that a tree equals its copy.
    friend RANKEXEC_EXPORT bool operator==(const Value& left, const Value& right) noexcept;

private:
    /// Takes the lists and maps out of this list or map and destroys them one by one.
    void release() noexcept;

    std::variant<std::monostate, bool, std::int64_t, double, std::string, Bytes, Array, Map> data_;
};

/// "null", "boolean", "integer", "real", "text", "bytes", "array" or "map".
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(Value::Kind kind) noexcept;

/// Compact JSON, for logs and people: bytes appear as {"bytes": n}, text that is not valid UTF-8 with
/// replacement characters, not-a-number and infinities as null, and so what is nested more than 1000 deep.
[[nodiscard]] RANKEXEC_EXPORT std::string to_json(const Value& value);

}  // namespace rankexec
