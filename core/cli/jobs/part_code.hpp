// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <stdexcept>

#include "rankexec/core/job/model/part_setup.hpp"

namespace rankexec::cli {

/// A bundle wants code that this site does not allow. The message says which, and why not.
struct UnsafeComponent : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Whether a part may run this program: one of the bundle only where the site allows code from bundles. Throws
/// UnsafeComponent.
void check_program(const std::filesystem::path& program, const job::PartSetup& setup);

/// Whether a part may load this library into its own process: from the bundle, where that is allowed, or from this
/// installation, and only what nobody else can change. Throws UnsafeComponent.
void check_library(const std::filesystem::path& library, const job::PartSetup& setup);

}  // namespace rankexec::cli
