// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/workflow/fed_avg_options.hpp"
#include "rankexec/core/job/workflow/workflow.hpp"

namespace rankexec::job {

/// Federated averaging (McMahan et al. 2017), workflow type "fed_avg": in each round every site trains the model on its
/// own data, and the average of what comes back, weighted by the number of samples, is the next round's model. It is
/// validated at the sites, each on its own held-out data, and the best one is kept.
///
/// After every round a snapshot is saved, from which a restarted run goes on.
class RANKEXEC_EXPORT FedAvg final : public Workflow {
public:
    explicit FedAvg(const Value::Map& args) : options_(parse_fed_avg_options(args)) {}

    tl::expected<void, Failure> run(WorkflowSession& session) override;

private:
    const FedAvgOptions options_;
};

}  // namespace rankexec::job
