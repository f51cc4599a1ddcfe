// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/value.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "rankexec/core/model/utf8.hpp"

namespace rankexec {
namespace {

void append_json_text(std::string& out, std::string_view text) {
    static constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    for (const char character : replace_invalid_utf8(text)) {
        const auto code = static_cast<unsigned char>(character);
        switch (character) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (code < 0x20 || code == 0x7f) {
                    out += "\\u00";
                    out += kHex[code >> 4U];
                    out += kHex[code & 0xfU];
                } else {
                    out += character;
                }
        }
    }
    out += '"';
}

/// Deeper trees are no longer for people, and each level takes stack.
constexpr int kJsonDepth = 1000;

void append_json(std::string& out, const Value& value, int depth = 0) {
    if (depth > kJsonDepth) {
        out += "null";
        return;
    }
    switch (value.kind()) {
        case Value::Kind::null: out += "null"; break;
        case Value::Kind::boolean: out += *value.if_boolean() ? "true" : "false"; break;
        case Value::Kind::integer: out += std::to_string(*value.if_integer()); break;
        case Value::Kind::real: {
            if (!std::isfinite(*value.if_real())) {
                out += "null";
                break;
            }
            char digits[32];
            const auto end = std::to_chars(std::begin(digits), std::end(digits), *value.if_real()).ptr;
            out.append(digits, end);
            break;
        }
        case Value::Kind::text: append_json_text(out, *value.if_text()); break;
        case Value::Kind::bytes: out += "{\"bytes\":" + std::to_string(value.if_bytes()->size()) + "}"; break;
        case Value::Kind::array: {
            out += '[';
            bool first = true;
            for (const auto& element : *value.if_array()) {
                if (!first) out += ',';
                first = false;
                append_json(out, element, depth + 1);
            }
            out += ']';
            break;
        }
        case Value::Kind::map: {
            out += '{';
            bool first = true;
            for (const auto& [key, member] : *value.if_map()) {
                if (!first) out += ',';
                first = false;
                append_json_text(out, key);
                out += ':';
                append_json(out, member, depth + 1);
            }
            out += '}';
            break;
        }
    }
}

}  // namespace

bool Value::boolean_or(bool fallback) const noexcept {
    const auto* content = if_boolean();
    return content != nullptr ? *content : fallback;
}

std::int64_t Value::integer_or(std::int64_t fallback) const noexcept {
    const auto* content = if_integer();
    return content != nullptr ? *content : fallback;
}

double Value::real_or(double fallback) const noexcept {
    if (const auto* content = if_real()) return *content;
    if (const auto* content = if_integer()) return static_cast<double>(*content);
    return fallback;
}

std::string Value::text_or(std::string_view fallback) const {
    const auto* content = if_text();
    return content != nullptr ? *content : std::string(fallback);
}

const Value* Value::find(std::string_view key) const noexcept {
    const auto* map = if_map();
    if (map == nullptr) return nullptr;
    const auto found = map->find(key);
    return found == map->end() ? nullptr : &found->second;
}

Value& Value::operator[](std::string_view key) {
    if (is_null()) data_ = Map{};
    auto* map = if_map();
    if (map == nullptr) {
        throw std::logic_error("Value: member \"" + std::string(key) + "\" of a " + std::string(to_string(kind())) +
                               "; only maps have members");
    }
    const auto found = map->find(key);
    if (found != map->end()) return found->second;
    return map->emplace(std::string(key), Value{}).first->second;
}

Value::Value(const Value& other) {
    if (other.kind() < Kind::array) {
        data_ = other.data_;
        return;
    }
    struct Step {
        const Value* from;
        Value* to;
    };
    std::vector<Step> open{{&other, this}};
    while (!open.empty()) {
        const auto [from, to] = open.back();
        open.pop_back();
        if (const auto* array = from->if_array()) {
            auto& copy = to->data_.emplace<Array>(array->size());
            for (std::size_t index = 0; index < copy.size(); ++index) open.push_back({&(*array)[index], &copy[index]});
        } else if (const auto* map = from->if_map()) {
            auto& copy = to->data_.emplace<Map>();
            copy.reserve(map->size());
            for (const auto& [key, member] : *map) {
                auto& place = copy[key];
                if (member.kind() < Kind::array) {
                    place.data_ = member.data_;
                } else {
                    open.push_back({&member, &place});
                }
            }
        } else {
            to->data_ = from->data_;
        }
    }
}

void Value::release() noexcept {
    std::vector<Value> open;
    const auto take_out_of = [&open](Value& value) {
        const auto take = [&open](Value& inner) {
            if (inner.kind() < Kind::array) return;
            open.push_back(std::move(inner));
            inner.data_ = std::monostate{};
        };
        if (auto* array = value.if_array()) {
            for (auto& element : *array) take(element);
        } else if (auto* map = value.if_map()) {
            for (auto& [key, member] : *map) take(member);
        }
    };
    take_out_of(*this);
    while (!open.empty()) {
        Value next(std::move(open.back()));
        open.pop_back();
        take_out_of(next);
    }
}

bool operator==(const Value& left, const Value& right) noexcept {
    struct Pair {
        const Value* left;
        const Value* right;
    };
    std::vector<Pair> open{{&left, &right}};
    while (!open.empty()) {
        const auto [one, other] = open.back();
        open.pop_back();
        if (one->kind() != other->kind()) return false;
        if (const auto* real = one->if_real()) {
            if (std::bit_cast<std::uint64_t>(*real) != std::bit_cast<std::uint64_t>(*other->if_real())) return false;
        } else if (const auto* array = one->if_array()) {
            const auto& others = *other->if_array();
            if (array->size() != others.size()) return false;
            for (std::size_t index = 0; index < array->size(); ++index) {
                open.push_back({&(*array)[index], &others[index]});
            }
        } else if (const auto* map = one->if_map()) {
            const auto& others = *other->if_map();
            if (map->size() != others.size()) return false;
            for (auto mine = map->begin(), theirs = others.begin(); mine != map->end(); ++mine, ++theirs) {
                if (mine->first != theirs->first) return false;
                open.push_back({&mine->second, &theirs->second});
            }
        } else if (one->data_ != other->data_) {
            return false;
        }
    }
    return true;
}

std::string_view to_string(Value::Kind kind) noexcept {
    switch (kind) {
        case Value::Kind::null: return "null";
        case Value::Kind::boolean: return "boolean";
        case Value::Kind::integer: return "integer";
        case Value::Kind::real: return "real";
        case Value::Kind::text: return "text";
        case Value::Kind::bytes: return "bytes";
        case Value::Kind::array: return "array";
        case Value::Kind::map: return "map";
    }
    return "unknown";
}

std::string to_json(const Value& value) {
    std::string out;
    append_json(out, value);
    return out;
}

}  // namespace rankexec
