// SPDX-License-Identifier: Apache-2.0
// A program that works for an executor, and knows rankexec::agent only as it is installed: its model is a number, which
// each training doubles.
#include <rankexec/worker/agent/agent.hpp>

#include <chrono>
#include <iostream>
#include <span>
#include <vector>

namespace {

rankexec::Shareable work(const rankexec::agent::Task& task) {
    float weight = 1;
    if (const auto* model = task.input.tensor("w")) weight = model->elements<float>()[0];
    rankexec::Shareable result;
    if (task.name == "train") {
        const std::vector<float> trained{2 * weight};
        result.tensors.emplace("w", rankexec::Tensor::copy_of(std::span<const float>(trained), {1}));
    } else {
        result.body["accuracy"] = 1 / (1 + static_cast<double>(weight));
    }
    return result;
}

}  // namespace

int main() {
    const auto agent = rankexec::agent::init();
    if (!agent) {
        std::cerr << "outside agent: " << agent.error().message << '\n';
        return 1;
    }
    while (true) {
        const auto task = (*agent)->get_task(std::chrono::seconds(60));
        if (!task) return task.error().kind == rankexec::agent::AgentError::Kind::closed ? 0 : 1;
        if (!*task) continue;
        if (const auto logged = (*agent)->log({{"task", (*task)->name}}, "progress"); !logged) return 1;
        if (const auto sent = (*agent)->submit_result(work(**task)); !sent) return 1;
    }
}
