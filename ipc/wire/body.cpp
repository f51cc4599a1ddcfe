// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/wire/body.hpp"

#include <algorithm>

namespace rankexec::wire {
namespace {

std::string too_deep(const Limits& limits) {
    return "lists and maps nested more than " + std::to_string(limits.depth) + " deep";
}

std::string too_many_dimensions(std::size_t count, const Limits& limits) {
    return "a tensor of " + std::to_string(count) + " dimensions, over the limit of " +
           std::to_string(limits.dimensions);
}

constexpr auto kNoBoolean = "a boolean tensor with a byte that is neither 0 nor 1";

}  // namespace

bool valid_elements(DType dtype, std::span<const std::byte> bytes) {
    return dtype != DType::boolean || std::ranges::all_of(bytes, [](std::byte byte) { return byte <= std::byte{1}; });
}

// ---- writing ----------------------------------------------------------------------------------

bool BodyWriter::write(const Tensor& tensor) {
    if (tensor.shape().size() > limits_->dimensions) {
        return out_.fail(too_many_dimensions(tensor.shape().size(), *limits_));
    }
    if (!valid_elements(tensor.dtype(), tensor.bytes())) return out_.fail(kNoBoolean);
    // A copy of the tensor shares its bytes and keeps them.
    tensor_frames_.push_back({tensor.bytes(), std::make_shared<const Tensor>(tensor)});
    return out_.array(3) && write(tensor.dtype()) && write(tensor.shape()) && write(tensor_frames_.size() + 1);
}

bool BodyWriter::write(const std::set<std::string, std::less<>>& names) {
    if (!out_.array(names.size())) return false;
    return std::ranges::all_of(names, [&](const auto& name) { return out_.text(name); });
}

bool BodyWriter::write_value(const Value& value, std::size_t depth) {
    switch (value.kind()) {
        case Value::Kind::null: return out_.nil();
        case Value::Kind::boolean: return out_.boolean(*value.if_boolean());
        case Value::Kind::integer: return out_.integer(*value.if_integer());
        case Value::Kind::real: return out_.real(*value.if_real());
        case Value::Kind::text: return out_.text(*value.if_text());
        case Value::Kind::bytes: return out_.bytes(*value.if_bytes());
        case Value::Kind::array: {
            if (depth == limits_->depth) return out_.fail(too_deep(*limits_));
            const auto& array = *value.if_array();
            return out_.array(array.size()) &&
                   std::ranges::all_of(array, [&](const Value& element) { return write_value(element, depth + 1); });
        }
        case Value::Kind::map: {
            if (depth == limits_->depth) return out_.fail(too_deep(*limits_));
            const auto& map = *value.if_map();
            return out_.map(map.size()) && std::ranges::all_of(map, [&](const auto& entry) {
                       return out_.text(entry.first) && write_value(entry.second, depth + 1);
                   });
        }
    }
    return out_.fail("a value of unknown kind");
}

// ---- reading ----------------------------------------------------------------------------------

bool BodyReader::finish() {
    if (!in_.finish()) return false;
    if (next_frame_ == std::max<std::size_t>(frames_.size(), 2)) return true;
    return in_.fail(std::to_string(frames_.size() - next_frame_) + " frames follow that no tensor refers to");
}

bool BodyReader::read_struct_header(std::size_t fields, std::size_t& count) {
    Token token;
    if (!in_.next(Kind::array, token)) return false;
    count = token.count;
    if (count >= fields) return true;
    return in_.fail("a struct of " + std::to_string(count) + " fields, expected " + std::to_string(fields));
}

bool BodyReader::skip_elements(std::size_t count) {
    for (; count > 0; --count) {
        if (!in_.skip()) return false;
    }
    return true;
}

bool BodyReader::read(bool& value) {
    Token token;
    if (!in_.next(Kind::boolean, token)) return false;
    value = token.boolean;
    return true;
}

bool BodyReader::read(ReturnCode& value) { return read_enum(value, ReturnCode::ok, ReturnCode::not_ready); }

bool BodyReader::read(std::string& value) {
    Token token;
    if (!in_.next(Kind::text, token)) return false;
    value = token.text();
    return true;
}

bool BodyReader::read(Bytes& value) {
    Token token;
    if (!in_.next(Kind::bytes, token)) return false;
    value.assign(token.data.begin(), token.data.end());
    return true;
}

bool BodyReader::read(std::set<std::string, std::less<>>& names) {
    Token token;
    if (!in_.next(Kind::array, token)) return false;
    for (auto count = token.count; count > 0; --count) {
        Token name;
        if (!in_.next(Kind::text, name)) return false;
        const auto size = names.size();
        names.emplace_hint(names.end(), name.text());
        if (names.size() == size) return in_.fail("a name that the list already has");
    }
    return true;
}

bool BodyReader::read(Tensor& tensor) {
    std::size_t count = 0;
    DType dtype{};
    Token dimensions;
    if (!read_struct_header(3, count) || !read(dtype) || !in_.next(Kind::array, dimensions)) return false;
    if (dimensions.count > limits_->dimensions) return in_.fail(too_many_dimensions(dimensions.count, *limits_));
    Shape shape(dimensions.count);
    for (auto& extent : shape) {
        if (!read(extent)) return false;
    }
    std::size_t frame = 0;
    if (!read(frame) || !skip_elements(count - 3)) return false;
    if (frame != next_frame_) {
        return in_.fail("a tensor in frame " + std::to_string(frame) + ", expected " + std::to_string(next_frame_));
    }
    if (frame >= frames_.size()) return in_.fail("a tensor's frame is missing");
    const auto& [bytes, owner] = frames_[frame];
    const auto elements = element_count(shape);
    const auto size = element_size(dtype);
    if (!elements || bytes.size() % size != 0 || static_cast<std::uint64_t>(*elements) != bytes.size() / size) {
        return in_.fail("a tensor whose shape does not fit its frame of " + std::to_string(bytes.size()) + " bytes");
    }
    if (!valid_elements(dtype, bytes)) return in_.fail(kNoBoolean);
    // A transport may deliver a small frame anywhere in its buffer; large ones have memory of their own.
    const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % size == 0;
    tensor = aligned ? Tensor::adopt(dtype, std::move(shape), bytes, owner)
                     : Tensor::copy_bytes(dtype, std::move(shape), bytes);
    ++next_frame_;
    return true;
}

bool BodyReader::read_map(std::size_t count, NameMap<Value>& map, std::size_t depth) {
    NameMap<Value>::Builder builder(std::min(count, kExpected));
    for (; count > 0; --count) {
        Token name;
        Token content;
        if (!in_.next(Kind::text, name) || !in_.next(content)) return false;
        // Made in place; text is what most headers are.
        if (content.kind == Kind::text) {
            builder.add(name.text(), content.text());
        } else if (!read_value(content, builder.add(name.text()), depth)) {
            return false;
        }
    }
    return finish(builder, map);
}

bool BodyReader::read_value(const Token& token, Value& value, std::size_t depth) {
    switch (token.kind) {
        case Kind::nil: value = nullptr; return true;
        case Kind::boolean: value = token.boolean; return true;
        case Kind::integer: value = token.integer; return true;
        case Kind::real: value = token.real; return true;
        case Kind::text: value = token.text(); return true;
        case Kind::bytes: value = Bytes(token.data.begin(), token.data.end()); return true;
        case Kind::array: {
            if (depth == limits_->depth) return in_.fail(too_deep(*limits_));
            value = Value::Array{};
            auto& array = *value.if_array();
            array.reserve(std::min(token.count, kExpected));
            for (std::size_t index = 0; index < token.count; ++index) {
                Token element;
                if (!in_.next(element) || !read_value(element, array.emplace_back(), depth + 1)) return false;
            }
            return true;
        }
        case Kind::map: {
            if (depth == limits_->depth) return in_.fail(too_deep(*limits_));
            value = Value::Map{};
            return read_map(token.count, *value.if_map(), depth + 1);
        }
    }
    return in_.fail("a value of unknown kind");
}

}  // namespace rankexec::wire
