// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the JSON that programs write: any text is a value, which survives a round trip, or an error.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <nlohmann/json.hpp>

#include "rankexec/worker/agent/shell/json_value.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rankexec;
    const auto value = agent::parse_json({reinterpret_cast<const char*>(data), size});
    if (!value) return value.error().empty() ? (std::abort(), 0) : 0;
    const auto text = agent::json_of(*value).dump();
    const auto again = agent::parse_json(text);
    if (!again || agent::json_of(*again).dump() != text) std::abort();
    return 0;
}
