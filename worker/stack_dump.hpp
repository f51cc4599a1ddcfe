// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

/// Native stacks without a debugger. Any thread.
namespace rankexec::worker {

inline constexpr std::size_t kMostFrames = 64;

/// Addresses of the calling thread's frames, innermost first.
struct StackDump {
    const void* frames[kMostFrames + 8] = {};
    std::size_t count = 0;
};

/// Loads what dump_stack needs, which would not be safe in a signal handler.
void prepare_stack_dumps();

/// Fills `dump` with the calling thread's stack. Safe in a signal handler, after prepare_stack_dumps().
/// `context`: what a handler with SA_SIGINFO got, so that the stack begins where the signal struck; may
/// be null.
void dump_stack(StackDump& dump, const void* context) noexcept;

/// A frame in words: "function+0x1f (libwork.so)", or "libwork.so+0x4711" where there is no name. Not in a
/// signal handler. `innermost`: others are return addresses, which belong to the call before them.
[[nodiscard]] std::string frame_text(const void* address, bool innermost);

}  // namespace rankexec::worker
