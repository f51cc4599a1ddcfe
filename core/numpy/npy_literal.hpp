// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/tensor.hpp"

namespace rankexec::numpy {

/// The Python literal in a .npy file's header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
struct NpyLiteral {
    std::string descr;
    bool fortran_order = false;
    Shape shape;
    friend bool operator==(const NpyLiteral&, const NpyLiteral&) = default;
};

/// Total: exactly these three keys, in any order, then only white space; else what is wrong. Any thread.
[[nodiscard]] tl::expected<NpyLiteral, std::string> parse_npy_literal(std::string_view text);

}  // namespace rankexec::numpy
