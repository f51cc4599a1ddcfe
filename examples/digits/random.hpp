// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace digits {

/// SplitMix64: the same numbers with every compiler and library, which the distributions of <random>
/// do not promise.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
        return mixed ^ (mixed >> 31U);
    }

    /// Uniform in 0 .. limit - 1; `limit` must not be 0.
    std::uint64_t below(std::uint64_t limit) {
        // Numbers from the last, incomplete multiple of `limit` would favour small results.
        const std::uint64_t unusable = (~std::uint64_t{0} % limit + 1) % limit;
        std::uint64_t number = next();
        while (number > ~std::uint64_t{0} - unusable) number = next();
        return number % limit;
    }

    /// Uniform in [0, 1), in steps of 2^-24, so that it is exact as a float.
    float unit() { return static_cast<float>(next() >> 40U) * 0x1p-24F; }

    template <typename T>
    void shuffle(std::vector<T>& items) {
        for (std::size_t last = items.size(); last > 1; --last) std::swap(items[last - 1], items[below(last)]);
    }

private:
    std::uint64_t state_;
};

}  // namespace digits
