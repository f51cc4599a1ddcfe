// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rankexec/core/model/value.hpp"

namespace rankexec::cli {

/// What the ranks of a run last said about themselves: one line per rank. Pure data, one thread at a
/// time.
class ProgressBoard {
public:
    explicit ProgressBoard(int world_size);

    /// A task begins: what the ranks said before is no longer shown.
    void begin(const std::string& task, int round, int rounds);
    /// Takes the figures of a metric event. False when there is no such rank or no figure in them.
    bool update(int rank, const Value& figures);
    /// "rank 2  train 1/5  epoch 3/4  accuracy 0.91  loss 0.2"
    [[nodiscard]] std::string line(int rank) const;
    /// One line per rank, at most `rows` lines of `columns` characters; the last one says how many
    /// ranks were left out.
    [[nodiscard]] std::vector<std::string> lines(std::size_t rows, std::size_t columns) const;

    /// The sum of the figure "samples" over all events of a rank, and how many events there were.
    struct Work {
        double samples = 0;
        std::int64_t events = 0;
    };
    [[nodiscard]] const std::vector<Work>& work() const { return work_; }

private:
    std::string phase_;
    std::vector<std::string> figures_;
    std::vector<Work> work_;
};

}  // namespace rankexec::cli
