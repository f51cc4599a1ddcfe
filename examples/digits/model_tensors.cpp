// SPDX-License-Identifier: Apache-2.0
#include "model_tensors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace digits {
namespace {

using rankexec::DType;
using rankexec::Shape;
using rankexec::Tensor;

struct Part {
    const char* name;
    std::size_t first;
    Shape shape;
};

const std::array<Part, 4>& parts() {
    static const std::array<Part, 4> all{{
        {"w1", Layout::kW1, {kPixels, kHidden}},
        {"b1", Layout::kB1, {kHidden}},
        {"w2", Layout::kW2, {kHidden, kClasses}},
        {"b2", Layout::kB2, {kClasses}},
    }};
    return all;
}

}  // namespace

rankexec::Shareable::Tensors to_tensors(const Parameters& parameters) {
    rankexec::Shareable::Tensors tensors;
    for (const auto& part : parts()) {
        const auto count = static_cast<std::size_t>(*rankexec::element_count(part.shape));
        tensors.emplace(part.name, Tensor::copy_of(std::span(parameters).subspan(part.first, count), part.shape));
    }
    return tensors;
}

tl::expected<Parameters, std::string> from_tensors(const rankexec::Shareable::Tensors& tensors) {
    Parameters parameters(Layout::kSize);
    for (const auto& part : parts()) {
        const auto found = tensors.find(part.name);
        if (found == tensors.end()) return tl::make_unexpected("the model has no tensor " + std::string(part.name));
        const auto& tensor = found->second;
        if (tensor.dtype() != DType::float32 || tensor.shape() != part.shape) {
            return tl::make_unexpected("the tensor " + std::string(part.name) +
                                       " is not float32 of this network's shape");
        }
        // Not elements(): what comes off the wire may lie at any address.
        std::memcpy(&parameters[part.first], tensor.bytes().data(), tensor.bytes().size());
    }
    if (tensors.size() != parts().size()) return tl::make_unexpected("the model has tensors beyond w1, b1, w2, b2");
    if (!std::all_of(parameters.begin(), parameters.end(), [](float value) { return std::isfinite(value); })) {
        return tl::make_unexpected("the model has numbers that are not finite");
    }
    return parameters;
}

}  // namespace digits
