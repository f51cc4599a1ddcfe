// SPDX-License-Identifier: Apache-2.0
// payload_limit RANKS BYTES ROUNDS [in_place] [read]
//
// What it costs here at best to hand bytes to all ranks: one copy into memory that they share, or none ("in_place":
// they were built there); contents new each time, three buffers in turn. With "read" every rank reads all bytes before
// it answers, else after the timed part. Prints the median in microseconds.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "rankexec/bench/limits/ring.hpp"

namespace {

struct Task {
    std::uint64_t buffer;
    std::uint64_t read;
    std::uint64_t rest[6];  // 64 bytes, as the round trip's limit
};

class Group {
public:
    Group(int ranks, std::size_t size)
        : ranks_(ranks),
          size_(size),
          rings_(reinterpret_cast<limit::Ring*>(limit::shared_memory(sizeof(limit::Ring) * (ranks + 1U)))),
          shared_(limit::shared_memory(3 * size)) {
        if (rings_ == nullptr || shared_ == nullptr) ::_exit(1);
        for (int rank = 0; rank < ranks; ++rank) {
            if (limit::in_child()) serve(rings_[rank + 1]);
        }
    }

    [[nodiscard]] std::span<std::byte> buffer(std::uint64_t index) const { return {shared_ + index * size_, size_}; }

    /// True when all ranks answer with that checksum; 0: they read nothing.
    bool execute(std::uint64_t index, bool read, std::uint64_t expected) {
        const Task task{index, read ? 1U : 0U, {}};
        rings_[0].put(std::as_bytes(std::span(&task, 1)));
        ++turn_;
        bool right = true;
        for (int rank = 1; rank <= ranks_; ++rank) {
            std::uint64_t sum = 0;
            std::memcpy(&sum, rings_[rank].wait(turn_).data(), sizeof sum);
            right = right && sum == expected;
        }
        return right;
    }

private:
    [[noreturn]] void serve(limit::Ring& answers) {
        for (std::uint32_t turn = 1;; ++turn) {
            Task task{};
            std::memcpy(&task, rings_[0].wait(turn).data(), sizeof task);
            const std::uint64_t sum = task.read != 0 ? limit::checksum(buffer(task.buffer)) : 0;
            answers.put(std::as_bytes(std::span(&sum, 1)));
        }
    }

    int ranks_;
    std::size_t size_;
    limit::Ring* rings_;
    std::byte* shared_;
    std::uint32_t turn_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (words.size() < 3) return 2;
    const auto has = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
    const auto size = static_cast<std::size_t>(std::atoll(argv[2]));
    const int rounds = std::atoi(argv[3]);
    const bool in_place = has("in_place");
    const bool read = has("read");
    Group group(std::atoi(argv[1]), size);
    std::vector<std::byte> own(in_place ? 0 : 3 * size);
    std::vector<double> times;
    for (int round = -3; round < rounds; ++round) {
        const auto index = static_cast<std::uint64_t>(round + 3) % 3;
        const auto target = group.buffer(index);
        const auto source = in_place ? target : std::span(own).subspan(index * size, size);
        limit::fill(source, static_cast<std::uint64_t>(round + 9) * 77);
        const auto sum = limit::checksum(source);
        const auto begin = std::chrono::steady_clock::now();
        if (!in_place) std::memcpy(target.data(), source.data(), size);
        if (!group.execute(index, read, read ? sum : 0)) return 1;
        if (round >= 0) times.push_back(limit::microseconds_since(begin));
        if (!read && !group.execute(index, true, sum)) return 1;
    }
    std::printf("%.1f\n", limit::median(times));
}
