// SPDX-License-Identifier: Apache-2.0
#include "mlp.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "random.hpp"

namespace digits {
namespace {

using Hidden = std::array<float, kHidden>;
using Scores = std::array<float, kClasses>;

Hidden hidden_layer(const Parameters& parameters, const Image& image) {
    Hidden hidden{};
    std::copy_n(&parameters[Layout::kB1], kHidden, hidden.begin());
    for (std::size_t i = 0; i < kPixels; ++i) {
        const float* weights = &parameters[Layout::kW1 + i * kHidden];
        const float pixel = image.pixels[i];
        for (std::size_t j = 0; j < kHidden; ++j) hidden[j] += pixel * weights[j];
    }
    for (auto& value : hidden) value = std::max(value, 0.0F);
    return hidden;
}

Scores output_layer(const Parameters& parameters, const Hidden& hidden) {
    Scores scores{};
    std::copy_n(&parameters[Layout::kB2], kClasses, scores.begin());
    for (std::size_t j = 0; j < kHidden; ++j) {
        const float* weights = &parameters[Layout::kW2 + j * kClasses];
        for (std::size_t k = 0; k < kClasses; ++k) scores[k] += hidden[j] * weights[k];
    }
    return scores;
}

std::size_t largest(const Scores& scores) {
    return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

/// Turns scores into probabilities and returns the loss of the true digit.
float softmax(Scores& scores, std::size_t digit) {
    const float top = *std::max_element(scores.begin(), scores.end());
    const float true_score = scores[digit] - top;
    float sum = 0;
    for (auto& score : scores) sum += score = std::exp(score - top);
    for (auto& score : scores) score /= sum;
    return std::log(sum) - true_score;
}

}  // namespace

Parameters initial_parameters(std::uint64_t seed) {
    Parameters parameters(Layout::kSize);
    Random random(seed);
    const auto fill = [&](std::size_t first, std::size_t inputs, std::size_t outputs) {
        const float limit = std::sqrt(6.0F / static_cast<float>(inputs));
        for (std::size_t i = 0; i < inputs * outputs; ++i) {
            parameters[first + i] = (2.0F * random.unit() - 1.0F) * limit;
        }
    };
    fill(Layout::kW1, kPixels, kHidden);
    fill(Layout::kW2, kHidden, kClasses);
    return parameters;
}

Outcome accumulate_gradient(const Parameters& parameters, const Image& image, std::span<float> gradient) {
    const Hidden hidden = hidden_layer(parameters, image);
    Scores scores = output_layer(parameters, hidden);
    Outcome outcome;
    outcome.correct = largest(scores) == image.digit;
    outcome.loss = softmax(scores, image.digit);

    Scores& error = scores;  // the loss's derivative by the scores: probabilities minus the truth
    error[image.digit] -= 1.0F;
    for (std::size_t k = 0; k < kClasses; ++k) gradient[Layout::kB2 + k] += error[k];
    Hidden hidden_error{};
    for (std::size_t j = 0; j < kHidden; ++j) {
        if (hidden[j] <= 0.0F) continue;  // ReLU: neither output nor slope
        const float* weights = &parameters[Layout::kW2 + j * kClasses];
        float* weight_gradient = &gradient[Layout::kW2 + j * kClasses];
        for (std::size_t k = 0; k < kClasses; ++k) {
            hidden_error[j] += weights[k] * error[k];
            weight_gradient[k] += hidden[j] * error[k];
        }
        gradient[Layout::kB1 + j] += hidden_error[j];
    }
    for (std::size_t i = 0; i < kPixels; ++i) {
        float* weight_gradient = &gradient[Layout::kW1 + i * kHidden];
        for (std::size_t j = 0; j < kHidden; ++j) weight_gradient[j] += image.pixels[i] * hidden_error[j];
    }
    return outcome;
}

std::size_t predict(const Parameters& parameters, const Image& image) {
    return largest(output_layer(parameters, hidden_layer(parameters, image)));
}

void MomentumDescent::step(Parameters& parameters, std::span<const float> gradient, float scale) {
    for (std::size_t i = 0; i < Layout::kSize; ++i) {
        velocity_[i] = momentum_ * velocity_[i] + scale * gradient[i];
        parameters[i] -= learning_rate_ * velocity_[i];
    }
}

}  // namespace digits
