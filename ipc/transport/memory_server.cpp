// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/memory_server.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

/// The connection of a handover becomes the execution channel; those of the other two are descriptors beside the
/// memory.
constexpr auto kExecution = static_cast<std::size_t>(ChannelKind::execution);
constexpr std::size_t kLinksHandedOver = std::tuple_size_v<RankLinks> - 1;
static_assert(kExecution == 0);

struct Pairs {
    RankLinks ours;
    RankLinks theirs;
};

/// Those that are handed over.
tl::expected<std::shared_ptr<Pairs>, std::string> make_pairs() {
    auto pairs = std::make_shared<Pairs>();
    for (std::size_t index = kExecution + 1; index < pairs->ours.size(); ++index) {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
            return tl::unexpected("no pair of sockets: " + std::generic_category().message(errno));
        }
        pairs->ours[index].reset(ends[0]);
        pairs->theirs[index].reset(ends[1]);
    }
    return pairs;
}

}  // namespace

tl::expected<std::unique_ptr<MemoryServer>, std::string> MemoryServer::start(const Bootstrap& bootstrap,
                                                                             std::shared_ptr<ParentMemory> memory,
                                                                             OnLinked on_linked) {
    try {
        std::unique_ptr<MemoryServer> made(new MemoryServer(std::move(memory), std::move(on_linked)));
        auto server =
            HandoverServer::start(made->loop_, bootstrap, [self = made.get()](int rank, const HandoverWish& wish) {
                auto handover = self->hand_over(rank, wish);
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

tl::expected<HandoverServer::Handover, std::string> MemoryServer::hand_over(int rank, const HandoverWish& wish) {
    if (wish.kind != HandoverWish::Kind::rings) return memory_->hand_over(rank, wish);
    auto pairs = make_pairs();
    if (!pairs) return tl::unexpected(pairs.error());
    auto handover = memory_->hand_over(rank, wish);
    if (!handover) return handover;
    for (const auto& theirs : (*pairs)->theirs) {
        if (theirs.valid()) handover->descriptors.push_back(theirs.get());
    }
    handover->owner = std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<Pairs>>>(
        std::move(handover->owner), *pairs);
    handover->keep = [this, rank, pairs = *pairs](UniqueFd connection) {
        pairs->ours[kExecution] = std::move(connection);
        on_linked_(rank, std::move(pairs->ours));
    };
    return handover;
}

tl::expected<RankLinks, std::string> take_links(ReceivedHandover& received) {
    auto& descriptors = received.descriptors;
    if (descriptors.size() < kLinksHandedOver) return tl::unexpected<std::string>("the parent sent no connections");
    RankLinks links;
    links[kExecution] = std::move(received.connection);
    for (std::size_t index = links.size(); --index > kExecution;) {
        links[index] = std::move(descriptors.back());
        descriptors.pop_back();
    }
    return links;
}

}  // namespace rankexec
