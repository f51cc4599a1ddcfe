// SPDX-License-Identifier: Apache-2.0
// A ring in shared memory within one thread: what putting and taking a message costs when nobody waits.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "rankexec/ipc/shared_memory/ring.hpp"
#include "rankexec/ipc/shared_memory/segment.hpp"

namespace {

using namespace rankexec;

void ring_put_take(benchmark::State& state) {
    auto ring = Segment::create(ring_size(std::size_t{1} << 20U), Segment::Access::read);
    auto states = Segment::create(sizeof(ReaderState), Segment::Access::read_write);
    if (!ring || !states) std::abort();
    auto& reader_state = *reinterpret_cast<ReaderState*>(states->bytes().data());
    RingWriter writer(ring->bytes());
    writer.add_reader(reader_state);
    RingReader reader(ring->bytes(), reader_state);
    const std::vector<std::byte> message(static_cast<std::size_t>(state.range(0)));
    const std::array<std::span<const std::byte>, 1> pieces{message};
    std::vector<std::byte> taken;
    while (state.KeepRunning()) {
        if (!writer.put(pieces) || reader.take(taken) != RingReader::Taken::message) std::abort();
        benchmark::DoNotOptimize(taken);
    }
    state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(ring_put_take)->Arg(64)->Arg(1024)->Arg(65536);

}  // namespace
