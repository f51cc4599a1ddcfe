// SPDX-License-Identifier: Apache-2.0
// A rank that sums with the others, by Gloo, until one of them fails.
//   task "sum"   rank `rank` fails after some steps, `how`: a signal or exit code as the chaos worker, or
//                "throw": with the collective open, so that the others wait in it; or
//                "throw_unwound": the exception closes the collective on its way, so that the others' own
//                exceptions race with it
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "collective.hpp"
#include "gloo_store.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/component/executor.hpp"
#include "rankexec/worker/worker.hpp"
#include "stamp.hpp"

namespace {

using namespace rankexec;

void fail(const std::string& how) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    chaos::leave_stamp();
    if (how.starts_with("throw")) throw std::runtime_error("this rank is the first");
    if (how == "exit3") ::_exit(3);
    if (how == "abort") std::abort();
    if (how == "segv") ::raise(SIGSEGV);
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
}

class Summing : public Executor {
public:
    explicit Summing(const Value::Map&) {}

    Shareable execute(const std::string&, const Shareable& input, Context& context, const Signal& abort) override {
        const auto how = input.header("how")->text_or("");
        const auto steps = input.header("steps")->integer_or(0);
        const auto rank = context.integer_or(property::kRank, 0);
        const bool meant = input.header("rank")->integer_or(-1) == rank;
        auto* store = dynamic_cast<digits::GlooStore*>(engine().find("store"));
        if (store == nullptr) throw std::runtime_error("there is no store");
        auto collective = std::make_shared<digits::Collective>(
            *store, "sum", static_cast<int>(rank), static_cast<int>(context.integer_or(property::kWorldSize, 1)),
            digits::CollectiveOptions{}, abort);
        if (how != "throw_unwound") kept_ = collective;
        std::vector<float> values(1024, 1.0F);
        for (std::int64_t step = 0;; ++step) {
            if (meant && step == steps) fail(how);
            collective->sum(values);
        }
    }

private:
    std::shared_ptr<digits::Collective> kept_;
};

}  // namespace

int main() {
    ComponentRegistry registry;
    registry.add<digits::GlooStore>("store");
    registry.add<Summing>("summing");
    return worker::run(registry);
}
