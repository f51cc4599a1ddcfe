// SPDX-License-Identifier: Apache-2.0
// zmq_limit ipc|tcp RANKS BYTES ROUNDS SILENCE_US [curve] [hand_over] [rank0]
//
// Bare ZeroMQ, a ROUTER and DEALERs: bytes to all ranks, 64 bytes from each. "rank0": the parent stops the clock when
// rank 0 has answered. "hand_over": the thread that calls and the one that has the socket differ, on both sides, as in
// any library with calls that block. "curve": encrypted. Prints the median in microseconds.
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "rankexec/bench/limits/ring.hpp"
#include "rankexec/bench/limits/zmq_side.hpp"

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (words.size() < 5) return 2;
    const auto has = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
    const int ranks = std::atoi(argv[2]);
    const auto size = static_cast<std::size_t>(std::atoll(argv[3]));
    const int rounds = std::atoi(argv[4]);
    const std::chrono::microseconds silence(std::atoi(argv[5]));
    const auto keys = limit::make_keys(has("curve"));
    auto* const memory = limit::shared_memory(sizeof(limit::Ring));
    if (memory == nullptr) return 1;
    auto* const endpoint = reinterpret_cast<limit::Ring*>(memory);
    for (int rank = 0; rank < ranks; ++rank) {
        if (!limit::in_child()) continue;
        const auto address = endpoint->wait(1);
        const std::string where(reinterpret_cast<const char*>(address.data()), address.size());
        limit::Side side(ZMQ_DEALER, where, keys, rank, has("hand_over"));
        for (side.send(0, std::vector<std::byte>(1));;) {
            (void)side.receive();
            side.send(0, std::vector<std::byte>(64));
        }
    }
    limit::Side parent(ZMQ_ROUTER, words[0] == "tcp" ? "tcp://127.0.0.1:*" : "", keys, -1, has("hand_over"));
    const auto where = parent.endpoint();
    endpoint->put(std::as_bytes(std::span(where)));
    for (int rank = 0; rank < ranks; ++rank) (void)parent.receive();  // the hellos
    const std::vector<std::byte> bytes(size);
    std::vector<double> times;
    for (int round = -rounds / 10 - 1; round < rounds; ++round) {
        if (silence.count() > 0) std::this_thread::sleep_for(silence);
        const auto begin = std::chrono::steady_clock::now();
        double time = 0;
        for (int rank = 0; rank < ranks; ++rank) parent.send(rank, bytes);
        for (int answers = 0; answers < ranks; ++answers) {
            const int rank = parent.receive();
            if (rank == 0 || !has("rank0")) time = limit::microseconds_since(begin);
        }
        if (round >= 0) times.push_back(time);
    }
    std::printf("%.2f\n", limit::median(times));
    std::fflush(stdout);
    ::_exit(0);  // the children die with us; nothing has to be sent any more
}
