// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "rankexec/core/component/component_registry.hpp"

/// What the benchmark's own worker does on a rank, and the words that both sides use for it.
namespace rankexec::bench {

inline constexpr const char* kExecutorType = "rankexec.bench";

namespace task {
inline constexpr const char* kEcho = "echo";        ///< the input is the answer
inline constexpr const char* kRead = "read";        ///< answers with the checksum of kPayload
inline constexpr const char* kKeep = "keep";        ///< keeps kPayload, looks at nothing
inline constexpr const char* kCheck = "check";      ///< the checksum of what was kept, which is released
inline constexpr const char* kPrepare = "prepare";  ///< builds a tensor of kBytes from kSeed, answers with its checksum
inline constexpr const char* kGive = "give";        ///< answers with that tensor
inline constexpr const char* kFire = "fire";        ///< fires kCount events, answers with kTimes
inline constexpr const char* kWait = "wait";        ///< fires kWaiting, then waits for the abort
}  // namespace task

inline constexpr const char* kPayload = "payload";    ///< a tensor
inline constexpr const char* kTimes = "times";        ///< a tensor: microseconds of each event
inline constexpr const char* kChecksum = "checksum";  ///< in the answer's body
inline constexpr const char* kBytes = "bytes";        ///< headers of the input
inline constexpr const char* kSeed = "seed";
inline constexpr const char* kInPlace = "in_place";  ///< true: build the tensor where allocate() says
inline constexpr const char* kCount = "count";
inline constexpr const char* kAllRanks = "all_ranks";  ///< true: not rank 0 alone
inline constexpr const char* kOneWay = "one_way";      ///< true: nobody waits for answers

inline constexpr const char* kEvent = "rankexec.bench.event";
inline constexpr const char* kNumber =
    "rankexec.bench.number";  ///< of a one-way event, from 1 in each task; a property
inline constexpr const char* kWaiting = "rankexec.bench.waiting";

void register_components(ComponentRegistry& registry);

}  // namespace rankexec::bench
