// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/rank_list.hpp"

#include <algorithm>
#include <vector>

namespace rankexec {

std::string format_ranks(std::span<const int> ranks) {
    std::vector<int> sorted(ranks.begin(), ranks.end());
    std::ranges::sort(sorted);
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    std::string out;
    for (std::size_t first = 0; first < sorted.size();) {
        std::size_t last = first;
        while (last + 1 < sorted.size() && sorted[last + 1] == sorted[last] + 1) ++last;
        if (!out.empty()) out += ',';
        out += std::to_string(sorted[first]);
        if (last > first) out += (last == first + 1 ? "," : "-") + std::to_string(sorted[last]);
        first = last + 1;
    }
    return out;
}

std::string name_ranks(std::span<const int> ranks, std::string_view one, std::string_view many) {
    const auto list = format_ranks(ranks);
    const bool single = list.find_first_of(",-") == std::string::npos;
    return (single ? "rank " : "ranks ") + list + std::string(single ? one : many);
}

}  // namespace rankexec
