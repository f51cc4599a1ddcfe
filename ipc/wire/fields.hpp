// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "rankexec/ipc/wire/messages.hpp"

/// The fields of every struct on the wire, in wire order: the one table that both directions of the
/// codec use. Fields are only ever appended; PROTOCOL.md lists the same.
namespace rankexec::wire {

template <typename Struct>
struct Fields;

// ---- parts of messages ------------------------------------------------------------------------

template <>
struct Fields<Envelope> {
    static auto of(auto& it) { return std::tie(it.version, it.type, it.run_id, it.incarnation, it.rank, it.sequence); }
};

template <>
struct Fields<Property> {
    static auto of(auto& it) { return std::tie(it.value, it.visibility, it.lifetime); }
};

template <>
struct Fields<ContextChanges> {
    static auto of(auto& it) { return std::tie(it.set, it.removed); }
};

template <>
struct Fields<ComponentSpec> {
    static auto of(auto& it) { return std::tie(it.id, it.type, it.args); }
};

template <>
struct Fields<ExitStatus> {
    static auto of(auto& it) { return std::tie(it.signalled, it.number); }
};

template <>
struct Fields<Failure> {
    static auto of(auto& it) {
        return std::tie(it.code, it.message, it.rank, it.host, it.pid, it.exit, it.stderr_tail, it.ranks);
    }
};

template <>
struct Fields<Shareable> {
    static auto of(auto& it) { return std::tie(it.headers, it.body, it.tensors, it.code, it.failure); }
};

template <>
struct Fields<ProgramSpec> {
    static auto of(auto& it) { return std::tie(it.argv, it.environment, it.directory); }
};

template <>
struct Fields<RankSpec> {
    static auto of(auto& it) { return std::tie(it.rank, it.environment, it.bootstrap); }
};

template <>
struct Fields<EndingStep> {
    static auto of(auto& it) { return std::tie(it.signal, it.command); }
};

// ---- messages ---------------------------------------------------------------------------------

template <>
struct Fields<Hello> {
    static constexpr std::string_view kName = "Hello";
    static auto of(auto& it) {
        return std::tie(it.pid, it.host, it.local_rank, it.world_size, it.library_version, it.capabilities);
    }
};

template <>
struct Fields<Initialise> {
    static constexpr std::string_view kName = "Initialise";
    static auto of(auto& it) { return std::tie(it.context, it.components, it.executor_id); }
};

template <>
struct Fields<Initialised> {
    static constexpr std::string_view kName = "Initialised";
    static auto of(auto& it) { return std::tie(it.failure, it.changes); }
};

template <>
struct Fields<Execute> {
    static constexpr std::string_view kName = "Execute";
    static auto of(auto& it) { return std::tie(it.task_id, it.task, it.want_data, it.context, it.input); }
};

template <>
struct Fields<Result> {
    static constexpr std::string_view kName = "Result";
    static auto of(auto& it) { return std::tie(it.task_id, it.last_event, it.reply, it.changes); }
};

template <>
struct Fields<Close> {
    static constexpr std::string_view kName = "Close";
    static auto of(auto& it) { return std::tie(it.last_event, it.reason); }
};

template <>
struct Fields<Attach> {
    static constexpr std::string_view kName = "Attach";
    static auto of(auto&) { return std::tie(); }
};

template <>
struct Fields<ParentEvent> {
    static constexpr std::string_view kName = "ParentEvent";
    static auto of(auto& it) { return std::tie(it.event_id, it.type, it.want_changes, it.context); }
};

template <>
struct Fields<EventDone> {
    static constexpr std::string_view kName = "EventDone";
    static auto of(auto& it) { return std::tie(it.event_id, it.changes); }
};

template <>
struct Fields<AbortTask> {
    static constexpr std::string_view kName = "AbortTask";
    static auto of(auto& it) { return std::tie(it.task_id, it.reason); }
};

template <>
struct Fields<FireEvent> {
    static constexpr std::string_view kName = "FireEvent";
    static auto of(auto& it) { return std::tie(it.event_id, it.type, it.task_id, it.changes); }
};

template <>
struct Fields<EventHandled> {
    static constexpr std::string_view kName = "EventHandled";
    static auto of(auto& it) { return std::tie(it.event_id, it.changes, it.error); }
};

template <>
struct Fields<ShimHello> {
    static constexpr std::string_view kName = "ShimHello";
    static auto of(auto& it) {
        return std::tie(it.pid, it.host, it.local_rank, it.local_world_size, it.world_size, it.step);
    }
};

template <>
struct Fields<RankStarted> {
    static constexpr std::string_view kName = "RankStarted";
    static auto of(auto& it) { return std::tie(it.rank, it.pid, it.host); }
};

template <>
struct Fields<RankNotStarted> {
    static constexpr std::string_view kName = "RankNotStarted";
    static auto of(auto& it) { return std::tie(it.rank, it.error, it.message); }
};

template <>
struct Fields<RankOutput> {
    static constexpr std::string_view kName = "RankOutput";
    static auto of(auto& it) { return std::tie(it.rank, it.stream, it.bytes); }
};

template <>
struct Fields<RankExited> {
    static constexpr std::string_view kName = "RankExited";
    static auto of(auto& it) { return std::tie(it.rank, it.status, it.by_us, it.stderr_tail); }
};

template <>
struct Fields<RankOutputEnd> {
    static constexpr std::string_view kName = "RankOutputEnd";
    static auto of(auto& it) { return std::tie(it.rank); }
};

template <>
struct Fields<LauncherExited> {
    static constexpr std::string_view kName = "LauncherExited";
    static auto of(auto& it) { return std::tie(it.status, it.stderr_tail); }
};

template <>
struct Fields<SupervisionEnded> {
    static constexpr std::string_view kName = "SupervisionEnded";
    static auto of(auto& it) { return std::tie(it.surviving_pids); }
};

template <>
struct Fields<RankOutputCredit> {
    static constexpr std::string_view kName = "RankOutputCredit";
    static auto of(auto& it) { return std::tie(it.rank, it.bytes); }
};

template <>
struct Fields<RankInput> {
    static constexpr std::string_view kName = "RankInput";
    static auto of(auto& it) { return std::tie(it.rank, it.bytes); }
};

template <>
struct Fields<SignalRanks> {
    static constexpr std::string_view kName = "SignalRanks";
    static auto of(auto& it) { return std::tie(it.signal); }
};

template <>
struct Fields<EndGroup> {
    static constexpr std::string_view kName = "EndGroup";
    static auto of(auto& it) { return std::tie(it.grace_ms); }
};

template <>
struct Fields<Supervise> {
    static constexpr std::string_view kName = "Supervise";
    static auto of(auto& it) {
        return std::tie(it.run_id, it.program, it.ranks, it.graceful, it.forced, it.death_signal, it.orphan_grace_ms,
                        it.run_directory, it.log_directory, it.stdin_mode, it.forward_output, it.output_credit);
    }
};

template <>
struct Fields<LauncherStep> {
    static constexpr std::string_view kName = "LauncherStep";
    static auto of(auto& it) { return std::tie(it.step); }
};

template <>
struct Fields<ShimSetup> {
    static constexpr std::string_view kName = "ShimSetup";
    static auto of(auto& it) {
        return std::tie(it.environment, it.log_directory, it.stdin_mode, it.forward_output, it.output_credit,
                        it.orphan_grace_ms);
    }
};

/// A struct that travels as an array of its fields.
template <typename T>
concept WireStruct = requires(T& it) {
    Fields<std::remove_const_t<T>>::of(it);
};

}  // namespace rankexec::wire
