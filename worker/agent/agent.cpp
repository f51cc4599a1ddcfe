// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/agent.hpp"

namespace rankexec::agent {

Agent::~Agent() = default;

std::string_view to_string(AgentError::Kind kind) noexcept {
    switch (kind) {
        case AgentError::Kind::closed: return "closed";
        case AgentError::Kind::call_state: return "call state";
        case AgentError::Kind::refused: return "refused";
        case AgentError::Kind::not_delivered: return "not delivered";
        case AgentError::Kind::connection: return "connection";
        case AgentError::Kind::configuration: return "configuration";
    }
    return "unknown";
}

}  // namespace rankexec::agent
