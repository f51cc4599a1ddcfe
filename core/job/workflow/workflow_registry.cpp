// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/workflow_registry.hpp"

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/workflow/fed_avg.hpp"

namespace rankexec::job {

void add_workflows(ComponentRegistry& registry) { registry.add<FedAvg>("fed_avg"); }

Workflow& build_workflow(Engine& engine, const ComponentRegistry& registry,
                         const std::vector<ComponentSpec>& components, const ComponentSpec& workflow) {
    build_components(engine, registry, components);
    auto spec = workflow;
    if (spec.id.empty()) spec.id = "workflow";
    auto& built = engine.add(spec.id, registry.build(spec));
    if (auto* result = dynamic_cast<Workflow*>(&built)) return *result;
    throw ConfigurationError(ConfigurationError::Kind::component_arguments,
                             "workflow: components of type \"" + spec.type + "\" are no workflows");
}

}  // namespace rankexec::job
