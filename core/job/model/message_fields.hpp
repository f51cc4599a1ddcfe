// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "rankexec/core/model/shareable.hpp"

/// How messages of topics.hpp are made and read. Any thread.
namespace rankexec::job {

/// The text of that header; empty when there is none, or it is none.
[[nodiscard]] inline std::string text_in(const Shareable& content, std::string_view header) {
    const auto* value = content.header(header);
    return value == nullptr ? std::string() : value->text_or("");
}

/// The whole number of that header; `fallback` when there is none, or it is none.
[[nodiscard]] inline std::int64_t number_in(const Shareable& content, std::string_view header,
                                            std::int64_t fallback = 0) {
    const auto* value = content.header(header);
    return value == nullptr ? fallback : value->integer_or(fallback);
}

/// A message that is nothing but headers.
[[nodiscard]] inline Shareable with(Value::Map headers) {
    Shareable content;
    content.headers = std::move(headers);
    return content;
}

/// The reply of a request that is refused, and why: for people.
[[nodiscard]] inline Shareable refused(const std::string& why) {
    return Shareable::failed(ReturnCode::bad_request_data, why);
}

}  // namespace rankexec::job
