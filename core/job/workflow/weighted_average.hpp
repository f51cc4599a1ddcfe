// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec::job {

/// A site's model and how much it counts.
struct WeightedModel {
    const Shareable::Tensors* tensors = nullptr;
    double weight = 0;
};

/// The weighted average of the sites' models, tensor by tensor, summed in double in the order of the sites' names, so
/// that equal replies give an equal model. Tensors of integers and booleans are taken from the first site. Fails,
/// naming site and tensor, when the models are not alike or have elements that are not finite, or when no weight is
/// above 0.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Shareable::Tensors, Failure> weighted_average(
    const std::map<std::string, WeightedModel>& models);

}  // namespace rankexec::job
