// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/agent_client.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "rankexec/ipc/exchange/program_log.hpp"
#include "rankexec/worker/agent/shell/shell_message.hpp"
#include "rankexec/worker/agent/shell/shell_tasks.hpp"

namespace rankexec::agent {
namespace {

constexpr const char* kGone = "the command `rankexec agent run`, which holds the agent, has ended";

std::string reason() { return std::generic_category().message(errno); }

}  // namespace

tl::expected<AgentClient, std::string> AgentClient::connect(std::string socket) {
    if (socket.empty()) {
        const char* const named = std::getenv(shell::kSocketVariable);
        if (named == nullptr || *named == '\0') {
            return tl::unexpected(std::string("the variable ") + shell::kSocketVariable +
                                  " is not set: start the program with `rankexec agent run -- PROGRAM`");
        }
        socket = named;
    }
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket.size() >= sizeof address.sun_path) return tl::unexpected(socket + " is too long for a socket");
    std::memcpy(address.sun_path, socket.c_str(), socket.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return tl::unexpected("socket: " + reason());
    while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (errno == EINTR) continue;
        const bool gone = errno == ENOENT || errno == ECONNREFUSED;
        return tl::unexpected(socket + ": " + (gone ? std::string(kGone) : reason()));
    }
    return AgentClient(std::move(fd));
}

tl::expected<PipeMessage, std::string> AgentClient::receive() {
    std::vector<std::byte> buffer(std::size_t{256} << 10U);
    while (true) {
        const auto frames = decoder_.next();
        if (!frames) return tl::unexpected(frames.error().message);
        if (*frames) return shell::from_frames(**frames);
        const auto size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return tl::unexpected("the agent's socket: " + reason());
        if (size == 0) return tl::unexpected(std::string(kGone));
        decoder_.feed(std::span(buffer).first(static_cast<std::size_t>(size)));
    }
}

tl::expected<AgentClient::Answer<Shareable>, std::string> AgentClient::ask(const PipeMessage& request) {
    const auto pieces = shell::to_pieces(request);
    if (!pieces) return tl::unexpected(pieces.error());
    for (const auto& piece : *pieces) {
        auto rest = piece.bytes;
        while (!rest.empty()) {
            const auto size = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
            if (size < 0 && errno == EINTR) continue;
            if (size < 0)
                return tl::unexpected(errno == EPIPE ? std::string(kGone) : "the agent's socket: " + reason());
            rest = rest.subspan(static_cast<std::size_t>(size));
        }
    }
    auto reply = receive();
    if (!reply) return tl::unexpected(reply.error());
    const auto text = [&](const char* header) {
        const auto* value = reply->content.header(header);
        return value == nullptr ? std::string() : value->text_or("");
    };
    const auto outcome = text(shell::kOutcomeHeader);
    Answer<Shareable> answer;
    answer.message = text(shell::kMessageHeader);
    if (outcome == shell::outcome::kNothing) {
        answer.outcome = Outcome::nothing;
    } else if (outcome == shell::outcome::kClosed) {
        answer.outcome = Outcome::closed;
    } else if (outcome == shell::outcome::kOk || outcome == shell::outcome::kTask) {
        answer.content = std::move(reply->content);
    } else {
        return tl::unexpected(answer.message.empty() ? "the agent answers what is no answer" : answer.message);
    }
    return answer;
}

tl::expected<AgentClient::Answer<AgentClient::None>, std::string> AgentClient::tell(const PipeMessage& request) {
    auto answer = ask(request);
    if (!answer) return tl::unexpected(answer.error());
    return Answer<None>{answer->outcome, {}, std::move(answer->message)};
}

tl::expected<AgentClient::Answer<Task>, std::string> AgentClient::get_task(std::optional<Milliseconds> timeout) {
    Shareable content;
    if (timeout) content.headers[shell::kTimeoutHeader] = static_cast<std::int64_t>(timeout->count());
    auto answer = ask(PipeMessage::request(std::string(shell::kGetTask), std::move(content)));
    if (!answer) return tl::unexpected(answer.error());
    return Answer<Task>{answer->outcome, shell::task_of(std::move(answer->content)), std::move(answer->message)};
}

tl::expected<AgentClient::Answer<AgentClient::None>, std::string> AgentClient::take() {
    return tell(PipeMessage::request(std::string(shell::kTaken), {}));
}

tl::expected<AgentClient::Answer<AgentClient::None>, std::string> AgentClient::submit_result(Shareable result) {
    return tell(PipeMessage::request(std::string(shell::kSubmitResult), std::move(result)));
}

tl::expected<AgentClient::Answer<AgentClient::None>, std::string> AgentClient::log(const Value::Map& figures,
                                                                                   const std::string& type) {
    const exchange::ProgramLog log{type, figures};
    if (const auto why = log.error(); !why.empty()) return tl::unexpected(why);
    return tell(log.to_message());
}

}  // namespace rankexec::agent
