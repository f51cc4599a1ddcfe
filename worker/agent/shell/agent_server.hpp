// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/worker/agent/agent.hpp"

namespace rankexec::agent {

/// Lends an agent to the commands `rankexec agent get-task`, `submit-result` and `log`, which live for a moment each,
/// over a Unix socket. A task that a command fetched and did not take (it was killed meanwhile) is the next one's.
///
/// Has threads of its own. One thread at a time calls it.
class AgentServer {
public:
    /// Listens at `socket`, in a folder that others cannot enter; only this user's processes are served. Fails with
    /// what the system says.
    [[nodiscard]] static tl::expected<std::unique_ptr<AgentServer>, std::string> start(std::unique_ptr<Agent> agent,
                                                                                       const std::string& socket);
    virtual ~AgentServer() = default;

    [[nodiscard]] virtual Agent& agent() = 0;

    /// Closes the agent, which tells the executor; answers whoever waits; ends the threads and removes the socket. The
    /// destructor does the same.
    virtual void close() = 0;
};

}  // namespace rankexec::agent
