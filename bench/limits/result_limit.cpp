// SPDX-License-Identifier: Apache-2.0
// result_limit RANKS BYTES ROUNDS [in_place]
//
// What it costs here at best to get bytes from every rank: each copies its own into memory that it shares with the
// parent, or has built them there ("in_place"), and the parent reads all of them; contents new each time, three buffers
// in turn. Prints the median in microseconds.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "rankexec/bench/limits/ring.hpp"

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const int ranks = std::atoi(argv[1]);
    const auto size = static_cast<std::size_t>(std::atoll(argv[2]));
    const int rounds = std::atoi(argv[3]);
    const bool in_place = argc > 4 && std::string_view(argv[4]) == "in_place";
    auto* const memory = limit::shared_memory(sizeof(limit::Ring) * (ranks + 1U));
    auto* const bytes = limit::shared_memory(3 * size * static_cast<std::size_t>(ranks));
    if (memory == nullptr || bytes == nullptr) return 1;
    auto* const rings = reinterpret_cast<limit::Ring*>(memory);
    const auto buffer = [&](int rank, std::uint32_t round) {
        return std::span(bytes + (static_cast<std::size_t>(rank) * 3 + round % 3) * size, size);
    };
    for (int rank = 0; rank < ranks; ++rank) {
        if (!limit::in_child()) continue;
        std::vector<std::byte> own(in_place ? 0 : 3 * size);
        // Odd turns prepare what even turns, the timed ones, hand over.
        for (std::uint32_t turn = 1;; turn += 2) {
            const std::uint32_t round = turn / 2;
            (void)rings[0].wait(turn);
            const auto target = buffer(rank, round);
            const auto source = in_place ? target : std::span(own).subspan((round % 3) * size, size);
            limit::fill(source, turn * 77U + static_cast<unsigned>(rank));
            const auto sum = limit::checksum(source);
            rings[rank + 1].put(std::as_bytes(std::span(&sum, 1)));
            (void)rings[0].wait(turn + 1);
            if (!in_place) std::memcpy(target.data(), source.data(), size);
            rings[rank + 1].put(std::vector<std::byte>(64));
        }
    }
    std::vector<double> times;
    std::vector<std::uint64_t> sums(static_cast<std::size_t>(ranks));
    const std::vector<std::byte> task(64);
    for (std::uint32_t turn = 1; times.size() < static_cast<std::size_t>(rounds); turn += 2) {
        rings[0].put(task);
        for (int rank = 0; rank < ranks; ++rank) {
            std::memcpy(&sums[static_cast<std::size_t>(rank)], rings[rank + 1].wait(turn).data(), 8);
        }
        const auto begin = std::chrono::steady_clock::now();
        rings[0].put(task);
        for (int rank = 0; rank < ranks; ++rank) {
            (void)rings[rank + 1].wait(turn + 1);
            if (limit::checksum(buffer(rank, turn / 2)) != sums[static_cast<std::size_t>(rank)]) return 1;
        }
        if (turn > 6) times.push_back(limit::microseconds_since(begin));
    }
    std::printf("%.1f\n", limit::median(times));
}
