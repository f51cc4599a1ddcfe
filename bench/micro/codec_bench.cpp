// SPDX-License-Identifier: Apache-2.0
// The codec beside msgpack-c, which packs the same headers and unpacks them to msgpack::object with strings by
// reference: without limits, envelope or types of ours.
#include <benchmark/benchmark.h>

#include <map>
#include <msgpack.hpp>

#include "rankexec/bench/limits/sample_task.hpp"

namespace {

using namespace rankexec;

void codec(benchmark::State& state) {
    const wire::Message message = bench::sample_task(1, static_cast<int>(state.range(0)));
    while (state.KeepRunning()) {
        const auto frames = wire::encode(bench::sample_envelope(1), message);
        auto decoded = wire::decode(*frames);
        benchmark::DoNotOptimize(decoded);
    }
}
BENCHMARK(codec)->Arg(4)->Arg(100)->Arg(1000);

void encode(benchmark::State& state) {
    const wire::Message message = bench::sample_task(1, static_cast<int>(state.range(0)));
    while (state.KeepRunning()) {
        auto frames = wire::encode(bench::sample_envelope(1), message);
        benchmark::DoNotOptimize(frames);
    }
}
BENCHMARK(encode)->Arg(4)->Arg(100)->Arg(1000);

void msgpack_c(benchmark::State& state) {
    std::map<std::string, std::string> headers;
    std::map<std::string, int> properties;
    for (int index = 0; index < 10; ++index) properties["property_" + std::to_string(index)] = index;
    for (int index = 0; index < state.range(0); ++index)
        headers["header_" + std::to_string(index)] = "value " + std::to_string(index);
    const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return true; };
    while (state.KeepRunning()) {
        msgpack::sbuffer buffer;
        msgpack::packer<msgpack::sbuffer> packer(buffer);
        packer.pack_array(4).pack(std::uint64_t{1}).pack("train").pack(properties).pack(headers);
        const auto handle = msgpack::unpack(buffer.data(), buffer.size(), by_reference);
        benchmark::DoNotOptimize(handle);
    }
}
BENCHMARK(msgpack_c)->Arg(4)->Arg(100)->Arg(1000);

}  // namespace
