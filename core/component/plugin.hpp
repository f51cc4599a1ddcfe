// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Loads a plugin library (see RANKEXEC_PLUGIN) and lets it add its components. The library stays
/// loaded until the process ends, because components may live that long. Throws ConfigurationError
/// (plugin) when it cannot be loaded or has no entry point.
RANKEXEC_EXPORT void load_plugin(const std::string& path, ComponentRegistry& registry);

}  // namespace rankexec
