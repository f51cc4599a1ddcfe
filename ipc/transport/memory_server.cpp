// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_server.hpp"

#include <system_error>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {

tl::expected<std::unique_ptr<MemoryServer>, std::string> MemoryServer::start(const Bootstrap& bootstrap,
                                                                             std::shared_ptr<ParentMemory> memory) {
    try {
        std::unique_ptr<MemoryServer> made(new MemoryServer(std::move(memory)));
        auto server = HandoverServer::start(
            made->loop_, bootstrap, [memory = made->memory_.get()](int rank, const HandoverWish& wish) {
                auto handover = memory->hand_over(rank, wish);
                if (handover) return std::move(*handover);
                log::debug("rank " + std::to_string(rank) + " gets no shared memory: " + handover.error());
                return HandoverServer::Handover{};
            });
        if (!server) return tl::unexpected(server.error());
        made->server_ = std::move(*server);
        made->thread_ = std::thread([loop = &made->loop_] { loop->run(); });
        return made;
    } catch (const std::system_error& error) {
        return tl::unexpected(std::string("a thread for shared memory: ") + error.what());
    }
}

MemoryServer::~MemoryServer() {
    if (!thread_.joinable()) return;
    loop_.stop();
    thread_.join();
}

}  // namespace rankexec
