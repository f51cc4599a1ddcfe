// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace rankexec::worker {

/// When the exception that the calling thread is handling was thrown: nanoseconds of the monotonic clock.
/// Of one whose throw was not seen (a program with a runtime of its own, or too many throws since): now.
///
/// Why it matters: an exception closes connections on its way to whoever catches it, so that other ranks
/// throw, and may be heard, before it is caught.
[[nodiscard]] std::int64_t time_of_throw();

}  // namespace rankexec::worker
