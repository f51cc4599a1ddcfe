// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/transport/handover.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"
#include "rankexec/ipc/transport/unix_link.hpp"

namespace rankexec {

/// Hands a ParentMemory out to the ranks, and with the rings the connections of their channels. Has a thread of its
/// own, because allocating the pages of a large segment takes as long as writing them does, and the reactor must not
/// wait for that.
class RANKEXEC_EXPORT MemoryServer {
public:
    /// Called on the thread, once for each rank that has got its rings.
    using OnLinked = std::function<void(int rank, RankLinks links)>;

    /// Listens in the run directory. Fails with what the socket lacks, or when there is no thread to be had.
    static tl::expected<std::unique_ptr<MemoryServer>, std::string> start(const Bootstrap& bootstrap,
                                                                          std::shared_ptr<ParentMemory> memory,
                                                                          OnLinked on_linked);
    /// Whoever asks from now on is refused.
    ~MemoryServer();
    MemoryServer(const MemoryServer&) = delete;
    MemoryServer& operator=(const MemoryServer&) = delete;

private:
    MemoryServer(std::shared_ptr<ParentMemory> memory, OnLinked on_linked)
        : memory_(std::move(memory)), on_linked_(std::move(on_linked)) {}
    [[nodiscard]] tl::expected<HandoverServer::Handover, std::string> hand_over(int rank, const HandoverWish& wish);

    std::shared_ptr<ParentMemory> memory_;
    OnLinked on_linked_;
    EventLoop loop_;
    std::unique_ptr<HandoverServer> server_;
    std::thread thread_;
};

/// The rank's side: takes its connections out of what it got with its rings. Fails when they are not there.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<RankLinks, std::string> take_links(ReceivedHandover& received);

}  // namespace rankexec
