// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/weighted_average.hpp"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "rankexec/core/job/workflow/small_floats.hpp"
#include "rankexec/core/model/tensor_buffer.hpp"

namespace rankexec::job {
namespace {

tl::unexpected<Failure> bad_result(std::string message) {
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    failure.message = std::move(message);
    return tl::make_unexpected(std::move(failure));
}

bool is_floating(DType dtype) {
    return dtype == DType::float16 || dtype == DType::bfloat16 || dtype == DType::float32 || dtype == DType::float64;
}

/// Not Tensor::elements(): what comes off the wire may lie at any address.
template <typename T>
T element(const Tensor& tensor, std::size_t index) {
    T value;
    std::memcpy(&value, tensor.bytes().data() + index * sizeof(T), sizeof(T));
    return value;
}

double value_at(const Tensor& tensor, std::size_t index) {
    switch (tensor.dtype()) {
        case DType::float16: return float_from_float16(element<std::uint16_t>(tensor, index));
        case DType::bfloat16: return float_from_bfloat16(element<std::uint16_t>(tensor, index));
        case DType::float32: return element<float>(tensor, index);
        default: return element<double>(tensor, index);
    }
}

template <typename T, typename Convert>
void write_elements(std::span<std::byte> target, const std::vector<double>& values, Convert convert) {
    for (std::size_t index = 0; index < values.size(); ++index) {
        const T value = convert(values[index]);
        std::memcpy(target.data() + index * sizeof(T), &value, sizeof(T));
    }
}

Tensor tensor_of(DType dtype, const Shape& shape, const std::vector<double>& values) {
    auto buffer = TensorBuffer::make(dtype, shape);
    const auto narrow = [](double value) { return static_cast<float>(value); };
    switch (dtype) {
        case DType::float16:
            write_elements<std::uint16_t>(buffer.bytes(), values, [&](double v) { return float16_from(narrow(v)); });
            break;
        case DType::bfloat16:
            write_elements<std::uint16_t>(buffer.bytes(), values, [&](double v) { return bfloat16_from(narrow(v)); });
            break;
        case DType::float32: write_elements<float>(buffer.bytes(), values, narrow); break;
        default: write_elements<double>(buffer.bytes(), values, [](double v) { return v; });
    }
    return std::move(buffer).finish();
}

using Models = std::map<std::string, WeightedModel>;

/// That of all sites' tensors of this name.
tl::expected<Tensor, Failure> average_of(const std::string& name, const Tensor& first, const Models& models,
                                         double total) {
    if (!is_floating(first.dtype())) return first;
    std::vector<double> sums(first.bytes().size() / element_size(first.dtype()));
    for (const auto& [site, model] : models) {
        const auto& tensor = model.tensors->find(name)->second;
        const double share = model.weight / total;
        for (std::size_t index = 0; index < sums.size(); ++index) {
            const double value = value_at(tensor, index);
            if (!std::isfinite(value)) {
                return bad_result("the model of site " + site + " has a number in tensor \"" + name +
                                  "\" that is not finite");
            }
            sums[index] += share * value;
        }
    }
    return tensor_of(first.dtype(), first.shape(), sums);
}

/// Empty: they are alike.
std::string difference(const Shareable::Tensors& model, const Shareable::Tensors& first) {
    for (const auto& [name, tensor] : first) {
        const auto found = model.find(name);
        if (found == model.end()) return "has no tensor \"" + name + "\"";
        if (found->second.dtype() != tensor.dtype() || found->second.shape() != tensor.shape()) {
            return "has another type or shape in tensor \"" + name + "\"";
        }
    }
    return model.size() == first.size() ? "" : "has more tensors";
}

}  // namespace

tl::expected<Shareable::Tensors, Failure> weighted_average(const Models& models) {
    if (models.empty()) return bad_result("there is no model to average");
    double total = 0;
    const auto& [first_site, first] = *models.begin();
    for (const auto& [site, model] : models) {
        if (!std::isfinite(model.weight) || model.weight < 0) {
            return bad_result("the model of site " + site + " has a weight that is no number from 0 on");
        }
        total += model.weight;
        if (const auto what = difference(*model.tensors, *first.tensors); !what.empty()) {
            return bad_result("the model of site " + site + " " + what + ", unlike that of site " + first_site);
        }
    }
    if (!(total > 0)) return bad_result("no site's model has a weight above 0");
    Shareable::Tensors average;
    for (const auto& [name, tensor] : *first.tensors) {
        auto mean = average_of(name, tensor, models, total);
        if (!mean) return tl::unexpected(std::move(mean.error()));
        average.emplace(name, std::move(*mean));
    }
    return average;
}

}  // namespace rankexec::job
