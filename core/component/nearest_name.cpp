// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/nearest_name.hpp"

#include <algorithm>
#include <numeric>

namespace rankexec {
namespace {

std::size_t edit_distance(std::string_view left, std::string_view right) {
    std::vector<std::size_t> row(right.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= left.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= right.size(); ++j) {
            const auto substitution = diagonal + (left[i - 1] == right[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({substitution, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row.back();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
    // Longer names than any of ours are somebody's mistake of another kind, and distance is quadratic.
    constexpr std::size_t kLongest = 256;
    if (name.size() > kLongest) return {};
    auto best = std::max<std::size_t>(name.size() / 3, 2) + 1;
    std::string nearest;
    for (const auto& candidate : candidates) {
        const auto distance = edit_distance(name, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

}  // namespace rankexec
