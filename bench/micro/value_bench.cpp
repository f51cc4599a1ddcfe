// SPDX-License-Identifier: Apache-2.0
// Copies of what travels with a task, and of a tree.
#include <benchmark/benchmark.h>

#include "rankexec/bench/limits/sample_task.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace {

using namespace rankexec;

void copy_shareable(benchmark::State& state) {
    const auto input = bench::sample_task(1, static_cast<int>(state.range(0))).input;
    while (state.KeepRunning()) {
        Shareable copy = input;
        benchmark::DoNotOptimize(copy);
    }
}
BENCHMARK(copy_shareable)->Arg(4)->Arg(100);

Value tree(int depth) {
    Value node;
    for (int index = 0; index < 4; ++index) {
        node["child_" + std::to_string(index)] = depth > 1 ? tree(depth - 1) : Value(index);
    }
    return node;
}

void copy_tree(benchmark::State& state) {
    const auto value = tree(static_cast<int>(state.range(0)));
    while (state.KeepRunning()) {
        Value copy = value;
        benchmark::DoNotOptimize(copy);
    }
}
BENCHMARK(copy_tree)->Arg(1)->Arg(3)->Arg(5);

}  // namespace
