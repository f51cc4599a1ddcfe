// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

/// What a rank can do to the memory that it shares with its parent.
namespace chaos {

/// Writes at random over all of it that can be written, without an end, on a thread of its own.
void scribble(std::uint64_t seed);

/// Tries to take pages away, to change sizes, and to get write access. Returns what it could do; empty: nothing.
[[nodiscard]] std::string break_seals();

/// How far die_while_writing() may get: not at all, the length, half of the bytes, all of them, published, and the
/// parent woken.
inline constexpr int kFaultPoints = 6;

/// Writes a message into this rank's ring of results, or of events, by hand, and dies after that many steps.
[[noreturn]] void die_while_writing(int step, bool event);

/// Makes the parent believe that this rank reads nothing of what it is sent.
void stop_reading();

}  // namespace chaos
