// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "rankexec/ipc/transport/transport_client.hpp"

namespace rankexec {
namespace {

class UnixTransportClient final : public TransportClient {
public:
    UnixTransportClient(EventLoop& loop, RankLinks links, Callbacks callbacks) : callbacks_(std::move(callbacks)) {
        for (std::size_t index = 0; index < links.size(); ++index) {
            const auto kind = static_cast<ChannelKind>(index);
            UnixLink::Callbacks link;
            link.on_message = [this, kind](std::vector<wire::Frame>&& frames) {
                if (callbacks_.on_message) callbacks_.on_message(kind, std::move(frames));
            };
            link.on_closed = [this, kind](const std::string& error) {
                if (!error.empty() && callbacks_.on_refused) return callbacks_.on_refused(kind, error);
                if (callbacks_.on_disconnected) callbacks_.on_disconnected(kind);
            };
            links_[index] = std::make_unique<UnixLink>(loop, std::move(links[index]), wire::Limits{}, std::move(link));
        }
    }

    void send(ChannelKind kind, const std::vector<wire::Frame>& frames) override {
        const auto index = static_cast<std::size_t>(kind);
        if (index < links_.size() && links_[index]) (void)links_[index]->send(frames);
    }

    void close(std::chrono::milliseconds linger) override {
        const auto deadline = std::chrono::steady_clock::now() + linger;
        for (auto& link : links_) {
            if (link) link->flush(deadline);
            link.reset();
        }
    }

private:
    Callbacks callbacks_;
    std::array<std::unique_ptr<UnixLink>, std::tuple_size_v<RankLinks>> links_;
};

}  // namespace

std::unique_ptr<TransportClient> TransportClient::over(EventLoop& loop, RankLinks links, Callbacks callbacks) {
    return std::make_unique<UnixTransportClient>(loop, std::move(links), std::move(callbacks));
}

}  // namespace rankexec
