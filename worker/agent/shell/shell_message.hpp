// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/shareable.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"
#include "rankexec/ipc/wire/codec.hpp"

/// What the commands of `rankexec agent` ask the one that holds the agent, over a Unix socket: pipe messages, framed as
/// every stream of ours is. One request at a time; `taken` follows a task on the same connection. Any thread.
namespace rankexec::agent::shell {

/// The variable that tells a program where the socket is.
inline constexpr const char* kSocketVariable = "RANKEXEC_AGENT_SOCKET";

inline constexpr std::string_view kGetTask = "get_task";            ///< header timeout_ms: none: until there is one
inline constexpr std::string_view kTaken = "taken";                 ///< the task just got is in the caller's hands
inline constexpr std::string_view kSubmitResult = "submit_result";  ///< the content is the result
inline constexpr std::string_view kLog = "log";                     ///< as an exchange::ProgramLog

/// How a request ended: the header `outcome` of the reply.
namespace outcome {
inline constexpr std::string_view kOk = "ok";
inline constexpr std::string_view kTask = "task";  ///< the headers hold name, id, round, rounds and the task's own
inline constexpr std::string_view kNothing = "nothing";  ///< no task in time
inline constexpr std::string_view kClosed = "closed";    ///< there will be no more tasks
inline constexpr std::string_view kError = "error";      ///< anything else; header `message`
}  // namespace outcome

inline constexpr const char* kOutcomeHeader = "outcome";
inline constexpr const char* kMessageHeader = "message";
inline constexpr const char* kTimeoutHeader = "timeout_ms";

/// What goes over the socket. Fails with the limit that the message exceeds.
[[nodiscard]] tl::expected<std::vector<wire::Frame>, std::string> to_pieces(const PipeMessage& message);
/// Total: any frames are a message, or an error.
[[nodiscard]] tl::expected<PipeMessage, std::string> from_frames(const std::vector<wire::Frame>& frames);

/// The content of a reply without more to say.
[[nodiscard]] Shareable outcome_of(std::string_view outcome, const std::string& message = {});

}  // namespace rankexec::agent::shell
