// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/ipc/exchange/agent_address.hpp"
#include "rankexec/worker/agent/agent.hpp"
#include "rankexec/worker/agent/launched_agent.hpp"

namespace rankexec::agent {
namespace {

using exchange::AgentAddress;
using Kind = AgentError::Kind;

tl::unexpected<AgentError> error(Kind kind, std::string message) {
    return tl::unexpected(AgentError{kind, "agent: " + std::move(message)});
}

/// The variable's value. It is overwritten in place: removing it alone would leave a secret readable.
std::string take_variable() {
    char* const value = std::getenv(exchange::kAgentVariable);
    if (value == nullptr) return {};
    std::string copy(value);
    ::explicit_bzero(value, copy.size());
    // NOLINTNEXTLINE(concurrency-mt-unsafe): init() is called before other threads exist
    ::unsetenv(exchange::kAgentVariable);
    return copy;
}

/// Of a launched group; 0 where nothing says otherwise.
int rank_here() {
    const char* const text = std::getenv("RANK");
    if (text == nullptr) return 0;
    int rank = 0;
    const auto* const end = text + std::strlen(text);
    const auto parsed = std::from_chars(text, end, rank);
    return parsed.ec == std::errc() && parsed.ptr == end ? rank : 0;
}

tl::expected<AgentAddress, AgentError> find_executor(std::string& text) {
    const bool launched = text.empty();
    if (launched) text = take_variable();
    if (launched && rank_here() > 0) {
        return error(Kind::call_state, "this is rank " + std::to_string(rank_here()) +
                                           " of a group, and only rank 0 is connected to the executor; let rank 0 "
                                           "fetch tasks and share them with the others");
    }
    if (text.empty()) {
        return error(Kind::call_state, std::string("the variable ") + exchange::kAgentVariable +
                                           " is not set: no executor has launched this program, or init was called "
                                           "before; name it as the program of a launcher executor");
    }
    auto address = AgentAddress::parse(text);
    if (!address) return error(Kind::configuration, address.error().message);
    return std::move(*address);
}

void check_positive(const char* name, Milliseconds time) {
    if (time.count() > 0) return;
    throw ConfigurationError(ConfigurationError::Kind::option,
                             std::string(name) + " is " + std::to_string(time.count()) + " ms; it must be above 0");
}

void check(const InitOptions& options) {
    check_positive("connect_timeout", options.connect_timeout);
    check_positive("submit_timeout", options.submit_timeout);
    check_positive("log_timeout", options.log_timeout);
    options.handler.validate();
}

tl::expected<std::unique_ptr<Agent>, AgentError> connect(const AgentAddress& address, const InitOptions& options) {
    auto pipe = exchange::open_agent_pipe(address);
    if (!pipe) return error(Kind::connection, pipe.error().message);
    const std::shared_ptr<Pipe> shared = std::move(*pipe);
    if (const auto opened = shared->open(options.connect_timeout); !opened) {
        return error(Kind::connection,
                     "no way to the executor at " + address.describe() + ": " + opened.error().message);
    }
    return std::make_unique<LaunchedAgent>(shared, options);
}

}  // namespace

tl::expected<std::unique_ptr<Agent>, AgentError> init(InitOptions options) {
    try {
        const auto address = find_executor(options.address);
        wipe(options.address);
        options.address.clear();
        if (!address) return tl::unexpected(address.error());
        check(options);
        auto made = connect(*address, options);
        wipe_scratch();
        return made;
    } catch (const ConfigurationError& refused) {
        return error(Kind::configuration, refused.what());
    } catch (const std::system_error& failed) {
        return error(Kind::connection, std::string(failed.what()) + "; raise the limit on threads (ulimit -u)");
    }
}

}  // namespace rankexec::agent
