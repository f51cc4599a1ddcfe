// SPDX-License-Identifier: Apache-2.0
// A plugin library for the controller part of a job.
#include <cstdlib>
#include <stdexcept>

#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/job/workflow/workflow.hpp"

namespace {

/// Relays one task through all sites, or ends in another way, as its argument "end" says.
class Tour : public rankexec::job::Workflow {
public:
    explicit Tour(const rankexec::Value::Map& args) {
        if (const auto found = args.find("end"); found != args.end()) end_ = found->second.text_or("");
    }

    tl::expected<void, rankexec::Failure> run(rankexec::job::WorkflowSession& session) override {
        if (end_ == "throw") throw std::runtime_error("the tour is off");
        if (end_ == "exit") std::_Exit(1);
        if (end_ == "abort") session.abort().wait();
        rankexec::Shareable input;
        input.headers = {{"round", 1}};
        const auto reply = session.relay(session.sites(), "train", input, std::chrono::milliseconds(0));
        if (!reply.ok()) return tl::unexpected(reply.failure.value_or(rankexec::Failure{}));
        session.progress("toured " + std::to_string(session.sites().size()) + " sites");
        session.figure("tensors", 1, static_cast<double>(reply.tensors.size()));
        return {};
    }

private:
    std::string end_;
};

}  // namespace

RANKEXEC_PLUGIN(registry) { registry.add<Tour>("tour"); }
