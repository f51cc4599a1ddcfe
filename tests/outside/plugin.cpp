// SPDX-License-Identifier: Apache-2.0
// A library with components for the stock worker, built outside.
#include <rankexec/core/component/component_registry.hpp>
#include <rankexec/core/component/executor.hpp>

namespace {

class Guesser : public rankexec::Executor {
public:
    rankexec::Shareable execute(const std::string& task, const rankexec::Shareable& input, rankexec::Context& context,
                                const rankexec::Signal& /*abort*/) override {
        if (task == "train") {
            rankexec::Shareable model;
            model.body["world_size"] = context.integer_or(rankexec::property::kWorldSize, 0);
            return model;
        }
        rankexec::Shareable reply;
        const auto* ranks = input.body.find("world_size");
        reply.headers["accuracy"] = ranks == nullptr ? 0.0 : 1.0 / static_cast<double>(ranks->integer_or(1));
        return reply;
    }
};

}  // namespace

RANKEXEC_PLUGIN(registry) { registry.add<Guesser>("outside.guesser"); }
