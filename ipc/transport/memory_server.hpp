// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <thread>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/handover.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"

namespace rankexec {

/// Hands a ParentMemory out to the ranks. Has a thread of its own, because allocating the pages of a large segment
/// takes as long as writing them does, and the reactor must not wait for that.
class RANKEXEC_EXPORT MemoryServer {
public:
    /// Listens in the run directory. Fails with what the socket lacks, or when there is no thread to be had.
    static tl::expected<std::unique_ptr<MemoryServer>, std::string> start(const Bootstrap& bootstrap,
                                                                          std::shared_ptr<ParentMemory> memory);
    /// Whoever asks from now on is refused.
    ~MemoryServer();
    MemoryServer(const MemoryServer&) = delete;
    MemoryServer& operator=(const MemoryServer&) = delete;

private:
    explicit MemoryServer(std::shared_ptr<ParentMemory> memory) : memory_(std::move(memory)) {}

    std::shared_ptr<ParentMemory> memory_;
    EventLoop loop_;
    std::unique_ptr<HandoverServer> server_;
    std::thread thread_;
};

}  // namespace rankexec
