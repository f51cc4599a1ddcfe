// SPDX-License-Identifier: Apache-2.0
// mpirun -n RANKS+1 mpi_broadcast BYTES REPETITIONS
//
// MPI: process 0 broadcasts to the others, which read more than 64 bytes, and answer with a checksum each. Contents new
// each time. MPI's processes spin while they wait.
#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

std::uint64_t checksum(const std::vector<std::uint64_t>& words) {
    std::uint64_t sums[8] = {};
    for (std::size_t at = 0; at + 8 <= words.size(); at += 8) {
        for (std::size_t index = 0; index < 8; ++index) sums[index] += words[at + index];
    }
    std::uint64_t sum = 0;
    for (const auto part : sums) sum += part;
    return sum;
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    if (argc < 3) return 2;
    const auto size = static_cast<std::size_t>(std::atoll(argv[1]));
    const int repetitions = std::atoi(argv[2]);
    int rank = 0;
    int processes = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &processes);
    std::vector<std::uint64_t> words(std::max<std::size_t>(size / 8, 8));
    std::vector<std::uint64_t> answers(static_cast<std::size_t>(processes));
    std::vector<double> times;
    for (int turn = -repetitions / 10 - 1; turn < repetitions; ++turn) {
        if (rank == 0) {
            for (std::size_t index = 0; index < words.size(); ++index)
                words[index] = index * static_cast<unsigned>(turn + 99);
        }
        MPI_Barrier(MPI_COMM_WORLD);
        const double begin = MPI_Wtime();
        MPI_Bcast(words.data(), static_cast<int>(words.size()), MPI_UINT64_T, 0, MPI_COMM_WORLD);
        const std::uint64_t sum = rank == 0 ? 0 : checksum(words);
        MPI_Gather(&sum, 1, MPI_UINT64_T, answers.data(), 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
        if (turn >= 0) times.push_back((MPI_Wtime() - begin) * 1e6);
        if (rank == 0 && answers[1] != checksum(words)) MPI_Abort(MPI_COMM_WORLD, 1);
    }
    if (rank == 0) {
        std::sort(times.begin(), times.end());
        const auto at = [&](double part) {
            return times[static_cast<std::size_t>(part * static_cast<double>(times.size() - 1))];
        };
        std::printf(
            "{\"subject\": \"Open MPI broadcast\", \"scenario\": \"%s\", \"ranks\": %d, \"payload_bytes\": %zu, "
            "\"samples\": %zu, \"lower_quartile\": %f, \"median\": %f, \"upper_quartile\": %f, \"unit\": \"us\"}\n",
            size > 64 ? "fan-out" : "round-trip", processes - 1, size > 64 ? size : 0, times.size(), at(0.25), at(0.5),
            at(0.75));
    }
    MPI_Finalize();
}
