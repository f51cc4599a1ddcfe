// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/zap_handler.hpp"

#include <exception>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

/// Frames of a request behind REQ's or DEALER's envelope.
constexpr std::size_t kVersion = 0;
constexpr std::size_t kRequestId = 1;
constexpr std::size_t kDomain = 2;
constexpr std::size_t kAddress = 3;
constexpr std::size_t kMechanism = 5;
constexpr std::size_t kCredentials = 6;

std::string_view text_of(const zmq::message_t& part) { return {static_cast<const char*>(part.data()), part.size()}; }

}  // namespace

ZapHandler::ZapHandler(EventLoop& loop, zmq::context_t& context, UserOf user_of, std::string whom)
    : user_of_(std::move(user_of)), whom_(std::move(whom)), socket_(context, zmq::socket_type::router) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.bind("inproc://zeromq.zap.01");
    watch_ = std::make_unique<SocketWatch>(
        loop, socket_, [this](std::vector<zmq::message_t>&& request) { answer(std::move(request)); });
}

std::string ZapHandler::decide(const std::vector<zmq::message_t>& request) {
    if (request.size() < kCredentials || text_of(request[kVersion]) != "1.0") return {};
    ZapRequest asked{text_of(request[kDomain]), text_of(request[kAddress]), text_of(request[kMechanism]), {}};
    for (std::size_t i = kCredentials; i < request.size(); ++i) asked.credentials.push_back(text_of(request[i]));
    return user_of_(asked);
}

void ZapHandler::count_refused() {
    const auto refused = ++refused_;
    // A stranger who tries and tries shall not fill the disk.
    if ((refused & (refused - 1)) == 0) {
        log::warning("refused " + whom_ + " (" + std::to_string(refused) + " so far)");
    }
}

void ZapHandler::answer(std::vector<zmq::message_t>&& request) {
    // ROUTER puts the requester's routing id and REQ's empty delimiter in front.
    std::vector<zmq::message_t> route;
    while (!request.empty()) {
        route.push_back(std::move(request.front()));
        request.erase(request.begin());
        if (route.back().empty()) break;
    }
    if (request.size() <= kRequestId) return;
    std::string user;
    try {
        user = decide(request);
        if (user.empty()) count_refused();
    } catch (const std::exception& error) {
        log::error(std::string("a connection could not be looked at, and is refused: ") + error.what());
    }
    const auto send = [&](std::string_view text, bool more = true) {
        socket_.send(zmq::message_t(text.data(), text.size()),
                     (more ? zmq::send_flags::sndmore : zmq::send_flags::none) | zmq::send_flags::dontwait);
    };
    for (auto& part : route) socket_.send(part, zmq::send_flags::sndmore | zmq::send_flags::dontwait);
    send("1.0");
    send(text_of(request[kRequestId]));
    send(user.empty() ? "400" : "200");
    send(user.empty() ? "no such peer" : "");
    send(user);
    send("", false);
}

}  // namespace rankexec
