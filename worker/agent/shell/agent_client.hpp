// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/value.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"
#include "rankexec/ipc/wire/stream_framing.hpp"
#include "rankexec/worker/agent/agent.hpp"

namespace rankexec::agent {

/// What one command asks of an AgentServer. One thread. Its calls wait until the server answers, which it does within
/// the agent's time-outs, or has ended.
class AgentClient {
public:
    /// How a request ended, other than by an error.
    enum class Outcome : std::uint8_t { done, nothing, closed };
    template <typename T>
    struct Answer {
        Outcome outcome = Outcome::done;
        T content{};
        std::string message;  ///< why it is closed
    };
    struct None {};

    /// To the server at `socket`; empty: the one that the variable RANKEXEC_AGENT_SOCKET names. The error says what to
    /// do.
    [[nodiscard]] static tl::expected<AgentClient, std::string> connect(std::string socket = {});

    /// The next task. Without a time-out it waits until there is one, or will be none. It stays the server's until
    /// take() was called: should this process end before, another one gets it.
    [[nodiscard]] tl::expected<Answer<Task>, std::string> get_task(std::optional<Milliseconds> timeout);
    [[nodiscard]] tl::expected<Answer<None>, std::string> take();
    [[nodiscard]] tl::expected<Answer<None>, std::string> submit_result(Shareable result);
    [[nodiscard]] tl::expected<Answer<None>, std::string> log(const Value::Map& figures, const std::string& type);

private:
    explicit AgentClient(UniqueFd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] tl::expected<Answer<Shareable>, std::string> ask(const PipeMessage& request);
    [[nodiscard]] tl::expected<Answer<None>, std::string> tell(const PipeMessage& request);
    [[nodiscard]] tl::expected<PipeMessage, std::string> receive();

    UniqueFd fd_;
    wire::StreamDecoder decoder_;
};

}  // namespace rankexec::agent
