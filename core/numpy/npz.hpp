// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include <tl/expected.hpp>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec::numpy {

/// Writes tensors to a file that numpy.load reads: an uncompressed zip with one NAME.npy for each.
/// Equal tensors give equal files. The file appears as a whole or not at all: it is written beside
/// `path`, synced, and then takes the place of whatever `path` was.
///
/// Fails with bad_request_data for what NumPy cannot express (bfloat16, a name that is empty or has a
/// NUL in it), else with execution_exception and the system's reason. Any thread may call it.
[[nodiscard]] tl::expected<void, Failure> write_npz(const std::filesystem::path& path,
                                                    const Shareable::Tensors& tensors);

}  // namespace rankexec::numpy
