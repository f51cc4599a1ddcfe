// SPDX-License-Identifier: Apache-2.0
// The worker of run_test.py: a job whose ranks do what its component's argument "do" says.
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/component/executor.hpp"
#include "rankexec/worker/worker.hpp"

namespace {

using namespace rankexec;

class JobExecutor : public Executor {
public:
    explicit JobExecutor(const Value::Map& args) {
        if (const auto found = args.find("do"); found != args.end()) what_ = found->second.text_or("");
        if (const auto found = args.find("rank"); found != args.end()) rank_ = found->second.integer_or(-1);
    }

    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override {
        const auto rank = context.integer_or("rank", -1);
        if (rank == rank_) misbehave(abort);
        return task == "validate" ? validate(input) : train(rank, input);
    }

private:
    // A frame of its own: tests look for it in stacks.
    [[gnu::noinline]] void misbehave(const Signal& abort) {
        std::cerr << "about to " << what_ << "\n" << std::flush;
        if (what_ == "throw") throw std::runtime_error("the data are spoilt");
        if (what_ == "exit") ::_exit(7);
        if (what_ == "crash") std::raise(SIGSEGV);
        if (what_ == "wait") abort.wait();
        if (what_ == "ignore") {
            for (;;) ::pause();
        }
    }

    Shareable train(std::int64_t rank, const Shareable& input) {
        std::cout << "rank " << rank << " trains\n" << std::flush;
        auto context = engine().new_context();
        context.set("metric", Value::Map{{"step", 1}, {"steps", 1}, {"samples", 10 * (rank + 1)}, {"loss", 0.5}});
        fire_event("metric", context);
        const auto* before = input.tensor("w");
        const std::array<double, 1> next{(before == nullptr ? 0 : before->elements<double>()[0]) + 1};
        Shareable reply;
        reply.tensors.emplace("w", Tensor::copy_of(std::span<const double>(next), {1}));
        return reply;
    }

    static Shareable validate(const Shareable& input) {
        Shareable reply;
        reply.body = Value::Map{{"accuracy", input.tensor("w")->elements<double>()[0] / 4}};
        return reply;
    }

    std::string what_;
    std::int64_t rank_ = -1;
};

}  // namespace

int main() {
    ComponentRegistry registry;
    registry.add<JobExecutor>("job");
    return worker::run(registry);
}
