// SPDX-License-Identifier: Apache-2.0
// event_limit ROUNDS
//
// What an event of a rank can cost here at best: 64 bytes through a ring to the parent's thread that receives, from
// that to a second thread, which handles it and answers through another ring. Prints the median in microseconds.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "rankexec/bench/limits/ring.hpp"

int main(int argc, char** argv) {
    if (argc < 2) return 2;
    const auto rounds = static_cast<std::uint32_t>(std::atoi(argv[1]));
    auto* const memory = limit::shared_memory(sizeof(limit::Ring) * 4);
    if (memory == nullptr) return 1;
    auto* const rings = reinterpret_cast<limit::Ring*>(memory);
    auto& event = rings[0];
    auto& handed_over = rings[1];
    auto& answer = rings[2];
    auto& result = rings[3];
    const auto warm_up = rounds / 10;
    const std::vector<std::byte> bytes(64);
    if (limit::in_child()) {
        std::vector<double> times;
        for (std::uint32_t turn = 1; turn <= rounds + warm_up; ++turn) {
            const auto begin = std::chrono::steady_clock::now();
            event.put(bytes);
            (void)answer.wait(turn);
            if (turn > warm_up) times.push_back(limit::microseconds_since(begin));
        }
        const double median = limit::median(times);
        result.put(std::as_bytes(std::span(&median, 1)));
        ::_exit(0);
    }
    std::thread handler([&] {
        for (std::uint32_t turn = 1; turn <= rounds + warm_up; ++turn) {
            (void)handed_over.wait(turn);
            answer.put(bytes);
        }
    });
    for (std::uint32_t turn = 1; turn <= rounds + warm_up; ++turn) {
        const auto message = event.wait(turn);
        handed_over.put(message);
    }
    handler.join();
    double median = 0;
    std::memcpy(&median, result.wait(1).data(), sizeof median);
    std::printf("%.2f\n", median);
}
