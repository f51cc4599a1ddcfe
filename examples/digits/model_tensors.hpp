// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <rankexec/core/model/shareable.hpp>

#include <tl/expected.hpp>

#include "mlp.hpp"

namespace digits {

/// The model as the four tensors w1, b1, w2, b2.
rankexec::Shareable::Tensors to_tensors(const Parameters& parameters);

/// The reverse; otherwise what is wrong with them.
tl::expected<Parameters, std::string> from_tensors(const rankexec::Shareable::Tensors& tensors);

}  // namespace digits
