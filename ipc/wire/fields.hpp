// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "rankexec/ipc/wire/messages.hpp"

/// The fields of every struct on the wire, in wire order: the one table that both directions of the
/// codec use; PROTOCOL.md lists the same. A structured binding names every member, so that a field
/// that is missing here does not compile.
namespace rankexec::wire {

template <typename Struct>
struct Fields;

// ---- parts of messages ------------------------------------------------------------------------

template <>
struct Fields<Envelope> {
    static auto of(auto& it) {
        auto& [version, type, run_id, incarnation, rank, sequence] = it;
        return std::tie(version, type, run_id, incarnation, rank, sequence);
    }
};

template <>
struct Fields<Property> {
    static auto of(auto& it) {
        auto& [value, visibility, lifetime] = it;
        return std::tie(value, visibility, lifetime);
    }
};

template <>
struct Fields<ContextChanges> {
    static auto of(auto& it) {
        auto& [set, removed] = it;
        return std::tie(set, removed);
    }
};

template <>
struct Fields<ComponentSpec> {
    static auto of(auto& it) {
        auto& [id, type, args] = it;
        return std::tie(id, type, args);
    }
};

template <>
struct Fields<ExitStatus> {
    static auto of(auto& it) {
        auto& [signalled, number] = it;
        return std::tie(signalled, number);
    }
};

template <>
struct Fields<RankFault> {
    static auto of(auto& it) {
        auto& [rank, what] = it;
        return std::tie(rank, what);
    }
};

template <>
struct Fields<RankStack> {
    static auto of(auto& it) {
        auto& [rank, frames, missing] = it;
        return std::tie(rank, frames, missing);
    }
};

template <>
struct Fields<Failure> {
    static auto of(auto& it) {
        auto& [code, message, rank, host, pid, exit, stderr_tail, ranks, task, exception, out_of_memory, others, stacks,
               log_directory] = it;
        return std::tie(code, message, rank, host, pid, exit, stderr_tail, ranks, task, exception, out_of_memory,
                        others, stacks, log_directory);
    }
};

template <>
struct Fields<Shareable> {
    static auto of(auto& it) {
        auto& [headers, body, tensors, code, failure] = it;
        return std::tie(headers, body, tensors, code, failure);
    }
};

template <>
struct Fields<ProgramSpec> {
    static auto of(auto& it) {
        auto& [argv, environment, directory] = it;
        return std::tie(argv, environment, directory);
    }
};

template <>
struct Fields<RankSpec> {
    static auto of(auto& it) {
        auto& [rank, environment, bootstrap] = it;
        return std::tie(rank, environment, bootstrap);
    }
};

template <>
struct Fields<EndingStep> {
    static auto of(auto& it) {
        auto& [signal, command] = it;
        return std::tie(signal, command);
    }
};

// ---- messages ---------------------------------------------------------------------------------

template <>
struct Fields<Hello> {
    static constexpr std::string_view kName = "Hello";
    static auto of(auto& it) {
        auto& [pid, host, local_rank, world_size, library_version, capabilities] = it;
        return std::tie(pid, host, local_rank, world_size, library_version, capabilities);
    }
};

template <>
struct Fields<Initialise> {
    static constexpr std::string_view kName = "Initialise";
    static auto of(auto& it) {
        auto& [context, components, executor_id] = it;
        return std::tie(context, components, executor_id);
    }
};

template <>
struct Fields<Initialised> {
    static constexpr std::string_view kName = "Initialised";
    static auto of(auto& it) {
        auto& [failure, changes] = it;
        return std::tie(failure, changes);
    }
};

template <>
struct Fields<Execute> {
    static constexpr std::string_view kName = "Execute";
    static auto of(auto& it) {
        auto& [task_id, task, results, context, input] = it;
        return std::tie(task_id, task, results, context, input);
    }
};

template <>
struct Fields<Result> {
    static constexpr std::string_view kName = "Result";
    static auto of(auto& it) {
        auto& [task_id, last_event, reply, changes, failed_at] = it;
        return std::tie(task_id, last_event, reply, changes, failed_at);
    }
};

template <>
struct Fields<Close> {
    static constexpr std::string_view kName = "Close";
    static auto of(auto& it) {
        auto& [last_event, reason] = it;
        return std::tie(last_event, reason);
    }
};

template <>
struct Fields<Attach> {
    static constexpr std::string_view kName = "Attach";
    static auto of(auto&) { return std::tie(); }
};

template <>
struct Fields<ParentEvent> {
    static constexpr std::string_view kName = "ParentEvent";
    static auto of(auto& it) {
        auto& [event_id, type, want_changes, context, one_way] = it;
        return std::tie(event_id, type, want_changes, context, one_way);
    }
};

template <>
struct Fields<EventDone> {
    static constexpr std::string_view kName = "EventDone";
    static auto of(auto& it) {
        auto& [event_id, changes] = it;
        return std::tie(event_id, changes);
    }
};

template <>
struct Fields<AbortTask> {
    static constexpr std::string_view kName = "AbortTask";
    static auto of(auto& it) {
        auto& [task_id, reason] = it;
        return std::tie(task_id, reason);
    }
};

template <>
struct Fields<FireEvent> {
    static constexpr std::string_view kName = "FireEvent";
    static auto of(auto& it) {
        auto& [event_id, type, task_id, parent_event, changes, one_way] = it;
        return std::tie(event_id, type, task_id, parent_event, changes, one_way);
    }
};

template <>
struct Fields<EventHandled> {
    static constexpr std::string_view kName = "EventHandled";
    static auto of(auto& it) {
        auto& [event_id, changes, error] = it;
        return std::tie(event_id, changes, error);
    }
};

template <>
struct Fields<ShimHello> {
    static constexpr std::string_view kName = "ShimHello";
    static auto of(auto& it) {
        auto& [pid, host, local_rank, local_world_size, world_size, step] = it;
        return std::tie(pid, host, local_rank, local_world_size, world_size, step);
    }
};

template <>
struct Fields<RankStarted> {
    static constexpr std::string_view kName = "RankStarted";
    static auto of(auto& it) {
        auto& [rank, pid, host] = it;
        return std::tie(rank, pid, host);
    }
};

template <>
struct Fields<RankNotStarted> {
    static constexpr std::string_view kName = "RankNotStarted";
    static auto of(auto& it) {
        auto& [rank, error, message] = it;
        return std::tie(rank, error, message);
    }
};

template <>
struct Fields<RankOutput> {
    static constexpr std::string_view kName = "RankOutput";
    static auto of(auto& it) {
        auto& [rank, stream, bytes] = it;
        return std::tie(rank, stream, bytes);
    }
};

template <>
struct Fields<RankExited> {
    static constexpr std::string_view kName = "RankExited";
    static auto of(auto& it) {
        auto& [rank, status, by_us, stderr_tail, out_of_memory, stack] = it;
        return std::tie(rank, status, by_us, stderr_tail, out_of_memory, stack);
    }
};

template <>
struct Fields<RankOutputEnd> {
    static constexpr std::string_view kName = "RankOutputEnd";
    static auto of(auto& it) {
        auto& [rank, log_error] = it;
        return std::tie(rank, log_error);
    }
};

template <>
struct Fields<LauncherExited> {
    static constexpr std::string_view kName = "LauncherExited";
    static auto of(auto& it) {
        auto& [status, stderr_tail] = it;
        return std::tie(status, stderr_tail);
    }
};

template <>
struct Fields<SupervisionEnded> {
    static constexpr std::string_view kName = "SupervisionEnded";
    static auto of(auto& it) {
        auto& [surviving_pids] = it;
        return std::tie(surviving_pids);
    }
};

template <>
struct Fields<RankOutputCredit> {
    static constexpr std::string_view kName = "RankOutputCredit";
    static auto of(auto& it) {
        auto& [rank, bytes] = it;
        return std::tie(rank, bytes);
    }
};

template <>
struct Fields<RankInput> {
    static constexpr std::string_view kName = "RankInput";
    static auto of(auto& it) {
        auto& [rank, bytes] = it;
        return std::tie(rank, bytes);
    }
};

template <>
struct Fields<SignalRanks> {
    static constexpr std::string_view kName = "SignalRanks";
    static auto of(auto& it) {
        auto& [signal] = it;
        return std::tie(signal);
    }
};

template <>
struct Fields<EndGroup> {
    static constexpr std::string_view kName = "EndGroup";
    static auto of(auto& it) {
        auto& [grace_ms] = it;
        return std::tie(grace_ms);
    }
};

template <>
struct Fields<Supervise> {
    static constexpr std::string_view kName = "Supervise";
    static auto of(auto& it) {
        auto& [run_id, program, ranks, graceful, forced, death_signal, orphan_grace_ms, run_directory, log_directory,
               stdin_mode, forward_output, output_credit, containment] = it;
        return std::tie(run_id, program, ranks, graceful, forced, death_signal, orphan_grace_ms, run_directory,
                        log_directory, stdin_mode, forward_output, output_credit, containment);
    }
};

template <>
struct Fields<LauncherStep> {
    static constexpr std::string_view kName = "LauncherStep";
    static auto of(auto& it) {
        auto& [step] = it;
        return std::tie(step);
    }
};

template <>
struct Fields<ShimSetup> {
    static constexpr std::string_view kName = "ShimSetup";
    static auto of(auto& it) {
        auto& [environment, log_directory, stdin_mode, forward_output, output_credit, orphan_grace_ms] = it;
        return std::tie(environment, log_directory, stdin_mode, forward_output, output_credit, orphan_grace_ms);
    }
};

template <>
struct Fields<RankSignalled> {
    static constexpr std::string_view kName = "RankSignalled";
    static auto of(auto& it) {
        auto& [rank, signal] = it;
        return std::tie(rank, signal);
    }
};

template <>
struct Fields<RankInputTaken> {
    static constexpr std::string_view kName = "RankInputTaken";
    static auto of(auto& it) {
        auto& [rank, bytes] = it;
        return std::tie(rank, bytes);
    }
};

template <>
struct Fields<Dismiss> {
    static constexpr std::string_view kName = "Dismiss";
    static auto of(auto&) { return std::tie(); }
};

template <>
struct Fields<ReportStack> {
    static constexpr std::string_view kName = "ReportStack";
    static auto of(auto& it) {
        auto& [task_id] = it;
        return std::tie(task_id);
    }
};

template <>
struct Fields<StackReport> {
    static constexpr std::string_view kName = "StackReport";
    static auto of(auto& it) {
        auto& [task_id, frames, missing] = it;
        return std::tie(task_id, frames, missing);
    }
};

template <>
struct Fields<ReportTail> {
    static constexpr std::string_view kName = "ReportTail";
    static auto of(auto& it) {
        auto& [rank, call] = it;
        return std::tie(rank, call);
    }
};

template <>
struct Fields<TailReport> {
    static constexpr std::string_view kName = "TailReport";
    static auto of(auto& it) {
        auto& [rank, call, stderr_tail] = it;
        return std::tie(rank, call, stderr_tail);
    }
};

template <>
struct Fields<MessagePart> {
    static constexpr std::string_view kName = "MessagePart";
    static auto of(auto& it) {
        auto& [message, frame, size, offset, bytes] = it;
        return std::tie(message, frame, size, offset, bytes);
    }
};

template <>
struct Fields<PartsTaken> {
    static constexpr std::string_view kName = "PartsTaken";
    static auto of(auto& it) {
        auto& [bytes] = it;
        return std::tie(bytes);
    }
};

template <>
struct Fields<Received> {
    static constexpr std::string_view kName = "Received";
    static auto of(auto& it) {
        auto& [last] = it;
        return std::tie(last);
    }
};

template <>
struct Fields<Resume> {
    static constexpr std::string_view kName = "Resume";
    static auto of(auto& it) {
        auto& [session, connection, last] = it;
        return std::tie(session, connection, last);
    }
};

/// A struct that travels as an array of its fields.
template <typename T>
concept WireStruct = requires(T& it) {
    Fields<std::remove_const_t<T>>::of(it);
};

}  // namespace rankexec::wire
