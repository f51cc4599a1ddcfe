// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/return_code.hpp"
#include "rankexec/core/model/tensor.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec {

/// The unit of task input and result: headers, a value tree, named tensors, and an outcome.
///
/// Copying is cheap in tensors (shared bytes) and deep in values. A value type: distinct objects may
/// be used from distinct threads.
struct RANKEXEC_EXPORT Shareable {
    using Tensors = std::map<std::string, Tensor, std::less<>>;

    Value::Map headers;  ///< small facts about the content: round, kind, number of samples
    Value body;          ///< the content that is no bulk data
    Tensors tensors;     ///< bulk data, by name
    ReturnCode code = ReturnCode::ok;
    std::optional<Failure> failure;  ///< set whenever `code` is not ok and the cause is known

    [[nodiscard]] bool ok() const noexcept { return code == ReturnCode::ok; }

    /// The tensor of that name; nullptr if there is none. Valid until the map changes.
    [[nodiscard]] const Tensor* tensor(std::string_view name) const;
    /// The header of that name; nullptr if there is none. Valid until the map changes.
    [[nodiscard]] const Value* header(std::string_view name) const;

    /// A reply without content: `failure.code` is the outcome.
    [[nodiscard]] static Shareable failed(Failure failure);
    [[nodiscard]] static Shareable failed(ReturnCode code, std::string message);

    friend bool operator==(const Shareable&, const Shareable&) = default;
};

}  // namespace rankexec
