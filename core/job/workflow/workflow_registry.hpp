// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/job/workflow/workflow.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// Adds the workflows that ship with the library: "fed_avg".
RANKEXEC_EXPORT void add_workflows(ComponentRegistry& registry);

/// Builds `components` and then the workflow, and adds them to the engine, which owns them. Throws ConfigurationError,
/// also when the workflow's type is none of a Workflow.
[[nodiscard]] RANKEXEC_EXPORT Workflow& build_workflow(Engine& engine, const ComponentRegistry& registry,
                                                       const std::vector<ComponentSpec>& components,
                                                       const ComponentSpec& workflow);

}  // namespace rankexec::job
