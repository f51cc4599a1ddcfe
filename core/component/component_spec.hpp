// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/model/value.hpp"

namespace rankexec {

/// As a component's type: the only one that the ranks' registry knows.
inline constexpr const char* kOnlyType = "*";

/// What a component is built from, on every rank.
struct ComponentSpec {
    std::string id;    ///< unique within the group; other settings refer to it
    std::string type;  ///< a type that the ranks' ComponentRegistry knows, or kOnlyType
    Value::Map args;   ///< handed to the factory

    friend bool operator==(const ComponentSpec&, const ComponentSpec&) = default;
};

}  // namespace rankexec
