// SPDX-License-Identifier: Apache-2.0
// ring_limit RANKS ROUNDS SILENCE_US [codec] [rank0 | all]
//
// What a round trip can cost here at best: bytes to all ranks through one ring in shared memory, their outcomes through
// rings of their own. The parent waits for every outcome, since any rank may have failed; only rank 0's carries data,
// or all ranks' do ("all"). "rank0": the parent waits for rank 0 alone. With "codec" the bytes are an Execute and a
// Result of the wire protocol, else 64 bytes. Prints the median in microseconds.
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "rankexec/bench/limits/ring.hpp"
#include "rankexec/bench/limits/sample_task.hpp"

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (words.size() < 3) return 2;
    const auto has = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
    const int ranks = std::atoi(argv[1]);
    const int rounds = std::atoi(argv[2]);
    const std::chrono::microseconds silence(std::atoi(argv[3]));
    const bool codec = has("codec");
    const bool all = has("all");
    const int awaited = has("rank0") ? 1 : ranks;
    const int warm_up = rounds / 10 + 1;
    auto* const memory = limit::shared_memory(sizeof(limit::Ring) * static_cast<std::size_t>(ranks + 1));
    if (memory == nullptr) return 1;
    auto* const rings = reinterpret_cast<limit::Ring*>(memory);
    const std::vector<std::byte> plain(64);
    for (int rank = 0; rank < ranks; ++rank) {
        if (!limit::in_child()) continue;
        for (std::uint32_t turn = 1;; ++turn) {
            const auto message = rings[0].wait(turn);
            const bool data = all || rank == 0;
            rings[rank + 1].put(codec ? bench::answer_of(bench::task_in(message), data)
                                      : std::vector<std::byte>(data ? 64 : 8));
        }
    }
    std::vector<double> times;
    for (int turn = 1; turn <= rounds + warm_up; ++turn) {
        if (silence.count() > 0) std::this_thread::sleep_for(silence);
        const auto number = static_cast<std::uint32_t>(turn);
        const auto begin = std::chrono::steady_clock::now();
        rings[0].put(codec ? bench::task_bytes(number) : plain);
        for (int rank = 0; rank < awaited; ++rank) {
            const auto message = rings[rank + 1].wait(number);
            if (codec && !bench::is_answer(message, number)) return 1;
        }
        if (turn > warm_up) times.push_back(limit::microseconds_since(begin));
        // The ring holds one message: the others have to be done with it before the next one.
        for (int rank = awaited; rank < ranks; ++rank) (void)rings[rank + 1].wait(number);
    }
    std::printf("%.2f\n", limit::median(times));
    // The children die with us.
}
