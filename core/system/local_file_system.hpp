// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Whether every change of what `fd` (a file or folder) is on comes through this kernel, so that inotify(7) sees all of
/// them: on network file systems another host may be at work. False for what is not known. Any thread.
[[nodiscard]] RANKEXEC_EXPORT bool on_local_file_system(int fd) noexcept;

}  // namespace rankexec
