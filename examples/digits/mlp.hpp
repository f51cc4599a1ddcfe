// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataset.hpp"

namespace digits {

inline constexpr std::size_t kHidden = 64;

/// The network's parameters, one behind the other: w1 (64 x 64), b1 (64), w2 (64 x 10), b2 (10).
struct Layout {
    static constexpr std::size_t kW1 = 0;
    static constexpr std::size_t kB1 = kW1 + kPixels * kHidden;
    static constexpr std::size_t kW2 = kB1 + kHidden;
    static constexpr std::size_t kB2 = kW2 + kHidden * kClasses;
    static constexpr std::size_t kSize = kB2 + kClasses;
};

using Parameters = std::vector<float>;  ///< kSize of them

/// Uniform weights after He, from the seed; no bias.
Parameters initial_parameters(std::uint64_t seed);

/// What one image contributed, next to its gradient.
struct Outcome {
    float loss = 0;
    bool correct = false;
};

/// Adds the gradient of the cross-entropy loss for one image to `gradient` (kSize).
Outcome accumulate_gradient(const Parameters& parameters, const Image& image, std::span<float> gradient);

/// The digit that the network sees; the smaller one of two with the same score.
std::size_t predict(const Parameters& parameters, const Image& image);

/// Gradient descent with momentum; remembers the last direction.
class MomentumDescent {
public:
    MomentumDescent(float learning_rate, float momentum)
        : learning_rate_(learning_rate), momentum_(momentum), velocity_(Layout::kSize) {}

    /// One step against `gradient * scale`.
    void step(Parameters& parameters, std::span<const float> gradient, float scale);

private:
    float learning_rate_;
    float momentum_;
    std::vector<float> velocity_;
};

}  // namespace digits
