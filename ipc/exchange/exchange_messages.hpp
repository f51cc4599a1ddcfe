// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/ipc/exchange/program_log.hpp"
#include "rankexec/ipc/pipe/pipe_message.hpp"

/// What an executor and a program that was there before it say to each other, one struct per message; PROTOCOL.md in
/// this folder is normative. All functions may be called from any thread.
namespace rankexec::exchange {

/// The header that is not the user's.
inline constexpr std::string_view kExchangeHeader = "_exchange_";
/// The user's header that tells what kind of data a content is: text, a name as topics are.
inline constexpr std::string_view kDataKindHeader = "data_kind";
/// With it a program that was restarted says which task its first result belongs to.
inline constexpr std::string_view kTaskIdHeader = "task_id";
inline constexpr std::string_view kRoundHeader = "round";
inline constexpr std::string_view kRoundsHeader = "rounds";
inline constexpr std::string_view kDefaultDataKind = "weights";
inline constexpr std::string_view kAppDefinedKind = "app_defined";  ///< only the application knows what it is
inline constexpr std::size_t kTaskNameBytes = 256;

/// One giving of a task to one process.
struct TaskRef {
    std::string task;          ///< 32 hexadecimal digits
    std::int64_t attempt = 0;  ///< from 1; 0: not known
    friend bool operator==(const TaskRef&, const TaskRef&) = default;
};

/// The exchanger asks for a sign of life.
struct Heartbeat {
    friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
/// What the agent has, when it answers.
struct HeartbeatAnswer {
    struct Held {
        TaskRef ref;
        bool fetched = false;  ///< the program has got it
        friend bool operator==(const Held&, const Held&) = default;
    };
    std::vector<Held> holds;
    friend bool operator==(const HeartbeatAnswer&, const HeartbeatAnswer&) = default;
};
struct GiveTask {
    TaskRef ref;
    std::string name;
    std::string kind{kDefaultDataKind};
    std::optional<std::int64_t> round;
    std::optional<std::int64_t> rounds;
    Shareable input;
    friend bool operator==(const GiveTask&, const GiveTask&) = default;
};
struct TaskAnswer {
    TaskRef ref;
    bool accepted = false;
    std::string why;  ///< not
    friend bool operator==(const TaskAnswer&, const TaskAnswer&) = default;
};
/// The program has got the task.
struct TaskFetched {
    TaskRef ref;
    friend bool operator==(const TaskFetched&, const TaskFetched&) = default;
};
struct GiveResult {
    std::optional<TaskRef> ref;  ///< none: of whatever the program worked on before it was restarted
    std::string kind{kDefaultDataKind};
    Shareable result;
    friend bool operator==(const GiveResult&, const GiveResult&) = default;
};
struct ResultAnswer {
    std::optional<TaskRef> ref;  ///< the task that it was taken for
    bool accepted = false;
    std::string why;  ///< not
    friend bool operator==(const ResultAnswer&, const ResultAnswer&) = default;
};
struct AbortTask {
    TaskRef ref;
    std::string why;
    friend bool operator==(const AbortTask&, const AbortTask&) = default;
};
struct AbortAnswer {
    TaskRef ref;
    friend bool operator==(const AbortAnswer&, const AbortAnswer&) = default;
};
/// The run is over, and with it the agent's work.
struct Bye {
    std::string why;
    friend bool operator==(const Bye&, const Bye&) = default;
};
struct ByeAnswer {
    friend bool operator==(const ByeAnswer&, const ByeAnswer&) = default;
};
struct LogAnswer {
    friend bool operator==(const LogAnswer&, const LogAnswer&) = default;
};

using ExchangeMessage = std::variant<Heartbeat, HeartbeatAnswer, GiveTask, TaskAnswer, TaskFetched, GiveResult,
                                     ResultAnswer, AbortTask, AbortAnswer, Bye, ByeAnswer, ProgramLog, LogAnswer>;

/// As it travels. `request_id`: of an answer, the id of what it answers.
[[nodiscard]] RANKEXEC_EXPORT PipeMessage to_pipe(ExchangeMessage message, std::string request_id = {});

/// Total: whatever a peer has sent is a message, or an error that says what is wrong with it.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<ExchangeMessage, std::string> from_pipe(PipeMessage message);

/// Whether it goes on the pipe's channel for what is small.
[[nodiscard]] RANKEXEC_EXPORT bool is_sign(const ExchangeMessage& message) noexcept;

/// The kind of data by a content's header; the default without one. Fails when the header is no name.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, std::string> data_kind_of(const Shareable& content,
                                                                                  std::string_view otherwise);

}  // namespace rankexec::exchange
