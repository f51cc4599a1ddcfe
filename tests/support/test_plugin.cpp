// SPDX-License-Identifier: Apache-2.0
// A plugin library for the stock worker.
#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/component/executor.hpp"

namespace {

class PluginExecutor : public rankexec::Executor {
public:
    rankexec::Shareable execute(const std::string& /*task*/, const rankexec::Shareable& input,
                                rankexec::Context& context, const rankexec::Signal& /*abort*/) override {
        rankexec::Shareable reply = input;
        reply.headers["plugin_rank"] = context.integer_or(rankexec::property::kRank, -1);
        return reply;
    }
};

}  // namespace

RANKEXEC_PLUGIN(registry) { registry.add<PluginExecutor>("plugin_executor"); }
