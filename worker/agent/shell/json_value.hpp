// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>
#include <tl/expected.hpp>

#include "rankexec/core/model/value.hpp"
#include "rankexec/ipc/wire/limits.hpp"

/// Values as JSON and back, for programs that read and write it. What JSON has no form for has one of its own: bytes
/// are
/// {"$bytes": BASE64}; not-a-number and the infinities {"$real": "nan"}, "inf" and "-inf". Any thread.
namespace rankexec::agent {

/// Text that is no UTF-8 gets replacement characters when the result is dumped so.
[[nodiscard]] nlohmann::ordered_json json_of(const Value& value);

/// Total and bounded by `limits` (depth, nodes): any text is a value, or an error with the line it is in. An integer
/// that needs more than 64 bits with sign, and a key that is there twice, are errors.
[[nodiscard]] tl::expected<Value, std::string> parse_json(std::string_view text, const wire::Limits& limits = {});

}  // namespace rankexec::agent
