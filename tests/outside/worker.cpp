// SPDX-License-Identifier: Apache-2.0
// The worker program of the outside application.
#include <rankexec/core/component/executor.hpp>
#include <rankexec/worker/worker.hpp>

namespace {

class Adder : public rankexec::Executor {
public:
    explicit Adder(const rankexec::Value::Map& args) : start_(args.at("start").integer_or(0)) {}

    rankexec::Shareable execute(const std::string& task, const rankexec::Shareable& input, rankexec::Context& context,
                                const rankexec::Signal& /*abort*/) override {
        if (task != "add") return rankexec::Shareable::failed(rankexec::ReturnCode::task_unknown, task);
        fire_event("halfway", context);
        rankexec::Shareable reply;
        reply.body["sum"] =
            start_ + input.body.find("add")->integer_or(0) + context.integer_or(rankexec::property::kRank, -1000);
        if (const auto greeting = context.get("greeting")) reply.body["greeting"] = *greeting;
        return reply;
    }

private:
    std::int64_t start_;
};

}  // namespace

int main() {
    rankexec::ComponentRegistry registry;
    registry.add<Adder>("adder");
    return rankexec::worker::run(registry);
}
