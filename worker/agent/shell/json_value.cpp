// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/json_value.hpp"

#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "rankexec/core/model/printable.hpp"

namespace rankexec::agent {
namespace {

using nlohmann::ordered_json;

constexpr const char* kBytes = "$bytes";
constexpr const char* kReal = "$real";
constexpr std::size_t kShown = 60;

std::string to_base64(const Bytes& bytes) {
    std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    text.pop_back();
    return text;
}

std::optional<Bytes> from_base64(const std::string& text) {
    if (text.empty()) return Bytes();
    Bytes bytes(text.size());
    std::size_t size = 0;
    const char* end = nullptr;
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(),
                          nullptr, &size, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text.data() + text.size()) {
        return std::nullopt;
    }
    bytes.resize(size);
    return bytes;
}

ordered_json json_of_real(double real) {
    if (std::isfinite(real)) return real;
    return {{kReal, std::isnan(real) ? "nan" : real > 0 ? "inf" : "-inf"}};
}

/// A map of one entry may stand for something that JSON has no form for; nothing: it is an ordinary map.
tl::expected<std::optional<Value>, std::string> stood_for(const Value::Map& map) {
    if (map.size() != 1) return std::nullopt;
    const auto& [key, content] = *map.begin();
    if (key != kBytes && key != kReal) return std::nullopt;
    const auto* text = content.if_text();
    if (key == kBytes) {
        auto bytes = text == nullptr ? std::nullopt : from_base64(*text);
        if (!bytes) return tl::unexpected(std::string(kBytes) + " is not followed by text in base64");
        return Value(std::move(*bytes));
    }
    if (text != nullptr && *text == "nan") return Value(std::numeric_limits<double>::quiet_NaN());
    if (text != nullptr && *text == "inf") return Value(std::numeric_limits<double>::infinity());
    if (text != nullptr && *text == "-inf") return Value(-std::numeric_limits<double>::infinity());
    return tl::unexpected(std::string(kReal) + R"( is none of "nan", "inf" and "-inf")");
}

/// Builds the value while nlohmann's parser reads, so that no tree of its own stands in between.
class Builder : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit Builder(const wire::Limits& limits) : limits_(limits) {}

    [[nodiscard]] const std::string& error() const { return error_; }
    [[nodiscard]] Value take() { return std::move(root_); }

    bool null() override { return add(Value()); }
    bool boolean(bool value) override { return add(value); }
    bool number_integer(number_integer_t value) override { return add(value); }
    bool number_unsigned(number_unsigned_t value) override {
        if (value > static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max())) {
            return fail("the integer " + std::to_string(value) + " is larger than 64 bits with sign can hold");
        }
        return add(static_cast<std::int64_t>(value));
    }
    bool number_float(number_float_t value, const string_t& text) override {
        // What is too large for an integer is not bent into something else.
        if (text.find_first_of(".eE") == string_t::npos) {
            return fail("the integer " + printable(text, kShown) + " is larger than 64 bits with sign can hold");
        }
        return add(value);
    }
    bool string(string_t& value) override {
        if (value.size() > limits_.text_bytes) return fail("a text is over the limit of a message's");
        return add(std::move(value));
    }
    bool binary(binary_t& /*value*/) override { return fail("binary data"); }
    bool start_object(std::size_t /*size*/) override { return open(Value::Map()); }
    bool start_array(std::size_t /*size*/) override { return open(Value::Array()); }
    bool key(string_t& name) override {
        auto& level = open_.back();
        if (level.value.if_map()->contains(name))
            return fail("the key \"" + printable(name, kShown) + "\" is there twice");
        level.key = std::move(name);
        return true;
    }
    bool end_array() override { return close(); }
    bool end_object() override {
        auto meant = stood_for(*open_.back().value.if_map());
        if (!meant) return fail(meant.error());
        if (*meant) open_.back().value = std::move(**meant);
        return close();
    }
    bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                     const nlohmann::detail::exception& why) override {
        // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
        std::string what = why.what();
        if (const auto bracket = what.find("] "); bracket != std::string::npos) what.erase(0, bracket + 2);
        return fail(printable(what, 300));
    }

private:
    struct Level {
        Value value;
        std::string key;
    };

    bool fail(std::string what) {
        if (error_.empty()) error_ = std::move(what);
        return false;
    }
    bool add(Value value) {
        if (++nodes_ > limits_.nodes) return fail("more values than a message may have");
        if (open_.empty()) {
            root_ = std::move(value);
        } else if (auto* array = open_.back().value.if_array()) {
            array->push_back(std::move(value));
        } else {
            open_.back().value.if_map()->insert_or_assign(open_.back().key, std::move(value));
        }
        return true;
    }
    bool open(Value value) {
        if (open_.size() >= limits_.depth) return fail("nested deeper than a message may be");
        open_.push_back({std::move(value), {}});
        return true;
    }
    bool close() {
        auto value = std::move(open_.back().value);
        open_.pop_back();
        return add(std::move(value));
    }

    const wire::Limits& limits_;
    std::vector<Level> open_;
    std::size_t nodes_ = 0;
    Value root_;
    std::string error_;
};

}  // namespace

ordered_json json_of(const Value& value) {
    switch (value.kind()) {
        case Value::Kind::null: return nullptr;
        case Value::Kind::boolean: return *value.if_boolean();
        case Value::Kind::integer: return *value.if_integer();
        case Value::Kind::real: return json_of_real(*value.if_real());
        case Value::Kind::text: return *value.if_text();
        case Value::Kind::bytes: return {{kBytes, to_base64(*value.if_bytes())}};
        case Value::Kind::array: {
            auto array = ordered_json::array();
            for (const auto& element : *value.if_array()) array.push_back(json_of(element));
            return array;
        }
        case Value::Kind::map: {
            auto object = ordered_json::object();
            for (const auto& [key, element] : *value.if_map()) object[key] = json_of(element);
            return object;
        }
    }
    return nullptr;
}

tl::expected<Value, std::string> parse_json(std::string_view text, const wire::Limits& limits) {
    Builder builder(limits);
    const bool parsed = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
    if (!builder.error().empty()) return tl::unexpected(builder.error());
    if (!parsed) return tl::unexpected<std::string>("it is no JSON");
    return builder.take();
}

}  // namespace rankexec::agent
