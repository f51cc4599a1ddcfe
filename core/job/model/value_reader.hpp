// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

/// Reads the members of a map that came from outside. Each function throws std::invalid_argument that names the
/// member. Refers to the value, which must outlive it.
class ValueReader {
public:
    /// `what` is how messages call the map: "job record".
    ValueReader(const Value& value, std::string what) : value_(value), what_(std::move(what)) {
        if (value.if_map() == nullptr) throw std::invalid_argument(what_ + " is no map");
    }

    /// Whether it is there, and not null.
    [[nodiscard]] bool has(std::string_view key) const {
        const auto* member = value_.find(key);
        return member != nullptr && !member->is_null();
    }
    [[nodiscard]] const std::string& text(std::string_view key) const {
        return required(key, at(key).if_text(), "text");
    }
    [[nodiscard]] bool boolean(std::string_view key) const {
        return required(key, at(key).if_boolean(), "true or false");
    }
    template <typename Integer = std::int64_t>
    [[nodiscard]] Integer integer(std::string_view key, std::int64_t lowest = 0,
                                  std::int64_t highest = std::numeric_limits<Integer>::max()) const {
        const auto number = required(key, at(key).if_integer(), "a whole number");
        if (number < lowest || number > highest) fail(key, "is out of range: " + std::to_string(number));
        return static_cast<Integer>(number);
    }
    [[nodiscard]] const Value::Array& array(std::string_view key) const {
        return required(key, at(key).if_array(), "a list");
    }
    [[noreturn]] void fail(std::string_view key, const std::string& how) const {
        throw std::invalid_argument(what_ + ": \"" + std::string(key) + "\" " + how);
    }

private:
    [[nodiscard]] const Value& at(std::string_view key) const {
        const auto* member = value_.find(key);
        if (member == nullptr) fail(key, "is missing");
        return *member;
    }
    template <typename T>
    const T& required(std::string_view key, const T* content, const char* wanted) const {
        if (content == nullptr) fail(key, std::string("is not ") + wanted);
        return *content;
    }

    const Value& value_;
    std::string what_;
};

}  // namespace rankexec::job
