// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/shareable.hpp"

/// One struct per message. PROTOCOL.md in this folder is normative for what each field means on the
/// wire, its type number and its position.
namespace rankexec::wire {

/// Which group a message belongs to and where it stands in its stream; the first frame of every
/// message.
struct Envelope {
    std::uint16_t version = 0;
    std::uint16_t type = 0;         ///< MessageType
    std::string run_id;             ///< 32 hexadecimal digits
    std::uint32_t incarnation = 0;  ///< counts the groups of one executor, from 1
    std::int32_t rank = 0;          ///< the rank that sends or is addressed; kAllRanks
    std::uint64_t sequence = 0;     ///< per channel, rank and direction, from 1
    friend bool operator==(const Envelope&, const Envelope&) = default;
};

// ---- execution channel ------------------------------------------------------------------------

/// Rank to parent, first on the execution channel.
struct Hello {
    std::int64_t pid = 0;
    std::string host;
    std::int32_t local_rank = 0;
    std::int32_t world_size = 0;
    std::string library_version;
    std::vector<std::string> capabilities;
    friend bool operator==(const Hello&, const Hello&) = default;
};

/// Parent to rank: build the components.
struct Initialise {
    PropertyMap context;
    std::vector<ComponentSpec> components;
    std::string executor_id;  ///< empty: no executor, every task is refused
    friend bool operator==(const Initialise&, const Initialise&) = default;
};

/// Rank to parent: ready, or why not.
struct Initialised {
    std::optional<Failure> failure;
    ContextChanges changes;
    friend bool operator==(const Initialised&, const Initialised&) = default;
};

enum class ResultsWanted : std::uint8_t { rank_zero = 0, all = 1 };

/// Parent to rank.
struct Execute {
    std::uint64_t task_id = 0;  ///< unique within the executor, from 1, increasing
    std::string task;
    ResultsWanted results = ResultsWanted::rank_zero;  ///< which ranks' results shall carry data
    PropertyMap context;
    Shareable input;
    friend bool operator==(const Execute&, const Execute&) = default;
};

/// Rank to parent; every rank sends one per Execute.
struct Result {
    std::uint64_t task_id = 0;
    std::uint64_t last_event = 0;  ///< number of the last FireEvent that this rank sent before it
    Shareable reply;               ///< without headers, body and tensors unless wanted
    ContextChanges changes;
    std::uint64_t failed_at = 0;  ///< when user code threw, nanoseconds of its host's monotonic clock; 0: unknown
    friend bool operator==(const Result&, const Result&) = default;
};

/// Parent to rank, last on the execution channel: end after all parent events up to `last_event`.
struct Close {
    std::uint64_t last_event = 0;
    std::string reason;
    friend bool operator==(const Close&, const Close&) = default;
};

// ---- handler channel --------------------------------------------------------------------------

/// Rank to parent, first on the handler and relay channels.
struct Attach {
    friend bool operator==(const Attach&, const Attach&) = default;
};

/// Parent to rank.
struct ParentEvent {
    std::uint64_t event_id = 0;  ///< counts the parent's events of this incarnation, from 1
    std::string type;
    bool want_changes = false;  ///< whether EventDone shall carry changes (asked of one rank)
    PropertyMap context;
    bool one_way = false;  ///< no EventDone is wanted
    friend bool operator==(const ParentEvent&, const ParentEvent&) = default;
};

/// Rank to parent.
struct EventDone {
    std::uint64_t event_id = 0;
    ContextChanges changes;
    friend bool operator==(const EventDone&, const EventDone&) = default;
};

/// Parent to rank: abort this task, also when it has not arrived yet.
struct AbortTask {
    std::uint64_t task_id = 0;
    std::string reason;
    friend bool operator==(const AbortTask&, const AbortTask&) = default;
};

// ---- event relay channel ----------------------------------------------------------------------

/// Rank to parent.
struct FireEvent {
    std::uint64_t event_id = 0;  ///< counts this rank's events of this incarnation, from 1
    std::string type;
    std::uint64_t task_id = 0;       ///< the task whose context the changes are relative to; 0: none
    std::uint64_t parent_event = 0;  ///< the parent event whose context they are relative to; 0: none
    ContextChanges changes;
    bool one_way = false;  ///< no EventHandled is wanted
    friend bool operator==(const FireEvent&, const FireEvent&) = default;
};

/// Parent to rank: the event was handled.
struct EventHandled {
    std::uint64_t event_id = 0;
    ContextChanges changes;
    std::string error;  ///< empty, or why it was not handled (nesting too deep)
    friend bool operator==(const EventHandled&, const EventHandled&) = default;
};

// ---- supervision: guardian (Unix socket) or rank shim (ZeroMQ) ---------------------------------

/// Shim to parent, first on the supervision channel.
struct ShimHello {
    std::int64_t pid = 0;
    std::string host;
    std::int32_t local_rank = 0;
    std::int32_t local_world_size = 0;
    std::int32_t world_size = 0;
    std::string step;  ///< Slurm's JOB.STEP; empty elsewhere
    friend bool operator==(const ShimHello&, const ShimHello&) = default;
};

/// Supervisor to parent: the rank's program runs.
struct RankStarted {
    std::int32_t rank = 0;
    std::int64_t pid = 0;
    std::string host;
    friend bool operator==(const RankStarted&, const RankStarted&) = default;
};

/// Supervisor to parent: the rank's program could not be started; nothing more comes of this rank. Rank
/// -1: the launcher command.
struct RankNotStarted {
    std::int32_t rank = 0;
    std::int32_t error = 0;  ///< errno
    std::string message;
    friend bool operator==(const RankNotStarted&, const RankNotStarted&) = default;
};

enum class OutputStream : std::uint8_t { standard_output = 1, standard_error = 2 };

/// Supervisor to parent. Sent only within the credit that RankOutputCredit grants. Rank -1: the launcher
/// command, whose credit and RankOutputEnd are of rank -1 too.
struct RankOutput {
    std::int32_t rank = 0;
    OutputStream stream = OutputStream::standard_output;
    Bytes bytes;
    friend bool operator==(const RankOutput&, const RankOutput&) = default;
};

/// Supervisor to parent: the rank's program ended. Sent once per rank, before its last output.
struct RankExited {
    std::int32_t rank = 0;
    ExitStatus status;
    bool by_us = false;  ///< after the supervisor had begun to end it
    std::vector<std::string> stderr_tail;
    bool out_of_memory = false;      ///< the kernel killed it because memory had run out
    std::vector<std::string> stack;  ///< what it wrote about itself when it crashed; empty: nothing
    friend bool operator==(const RankExited&, const RankExited&) = default;
};

/// Supervisor to parent: all output of the rank has been sent.
struct RankOutputEnd {
    std::int32_t rank = 0;
    std::string log_error;  ///< which log file is incomplete, and why; empty: none
    friend bool operator==(const RankOutputEnd&, const RankOutputEnd&) = default;
};

/// Guardian to parent: the launcher command ended. What it left running may go on until EndGroup.
struct LauncherExited {
    ExitStatus status;
    std::vector<std::string> stderr_tail;
    friend bool operator==(const LauncherExited&, const LauncherExited&) = default;
};

/// Supervisor to parent, last: nothing of what it supervised is left, but for what could not be
/// killed.
struct SupervisionEnded {
    std::vector<std::int64_t> surviving_pids;
    friend bool operator==(const SupervisionEnded&, const SupervisionEnded&) = default;
};

/// Parent to supervisor: `bytes` more may be sent of this rank's output.
struct RankOutputCredit {
    std::int32_t rank = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const RankOutputCredit&, const RankOutputCredit&) = default;
};

/// Parent to supervisor: bytes for a rank's standard input; none: end of file.
struct RankInput {
    std::int32_t rank = 0;
    Bytes bytes;
    friend bool operator==(const RankInput&, const RankInput&) = default;
};

/// Parent to supervisor: a signal for the process groups of the ranks (SIGTSTP and SIGCONT as well).
struct SignalRanks {
    std::int32_t signal = 0;
    friend bool operator==(const SignalRanks&, const SignalRanks&) = default;
};

/// Parent to supervisor: end the group. Graceful step now, forced step after `grace_ms`, 0: at once.
/// A later EndGroup can only shorten the time.
struct EndGroup {
    std::uint32_t grace_ms = 0;
    friend bool operator==(const EndGroup&, const EndGroup&) = default;
};

/// One program to start.
struct ProgramSpec {
    std::vector<std::string> argv;         ///< argv[0] is searched in PATH when it has no slash
    std::vector<std::string> environment;  ///< NAME=value, the whole environment
    std::string directory;                 ///< working directory; empty: inherited
    friend bool operator==(const ProgramSpec&, const ProgramSpec&) = default;
};

/// What one rank adds to the common program.
struct RankSpec {
    std::int32_t rank = 0;
    std::vector<std::string> environment;  ///< added to the common one; wins over it
    Bytes bootstrap;                       ///< handed over in a descriptor; empty: none
    friend bool operator==(const RankSpec&, const RankSpec&) = default;
};

/// A way to end a group through its launcher.
struct EndingStep {
    std::int32_t signal = 0;           ///< for the launcher process (or local ranks); 0: none
    std::vector<std::string> command;  ///< run in addition, "{step}" replaced; empty: none
    friend bool operator==(const EndingStep&, const EndingStep&) = default;
};

enum class StdinMode : std::uint8_t { rank_zero = 0, none = 1, all = 2 };

/// How it is made sure that nothing of a group is left. `automatic`: the strongest way that needs no
/// permission. `pid_namespace`: what the guardian starts cannot outlive it, whatever it does.
enum class Containment : std::uint8_t { automatic = 0, pid_namespace = 1 };

/// Parent to guardian, once, first: what to start and how to end it.
struct Supervise {
    std::string run_id;
    ProgramSpec program;          ///< the ranks' program, or the launcher command when `ranks` is empty
    std::vector<RankSpec> ranks;  ///< local launcher: one per rank
    EndingStep graceful;
    EndingStep forced;
    std::int32_t death_signal = 0;  ///< PDEATHSIG of what the guardian starts
    std::uint32_t orphan_grace_ms = 300;
    std::string run_directory;  ///< removed at the very end; empty: none
    std::string log_directory;  ///< rank-N.out and rank-N.err are written there; empty: none
    StdinMode stdin_mode = StdinMode::none;
    bool forward_output = true;
    std::uint64_t output_credit = 256 * 1024;  ///< per rank, to begin with
    Containment containment = Containment::automatic;
    friend bool operator==(const Supervise&, const Supervise&) = default;
};

/// Parent to guardian: facts for the ending steps that were not known at the start.
struct LauncherStep {
    std::string step;  ///< replaces "{step}"
    friend bool operator==(const LauncherStep&, const LauncherStep&) = default;
};

/// Parent to shim, answer to ShimHello: what to do with its rank.
struct ShimSetup {
    std::vector<std::string> environment;  ///< added to the rank's environment; wins
    std::string log_directory;
    StdinMode stdin_mode = StdinMode::none;
    bool forward_output = true;
    std::uint64_t output_credit = 256 * 1024;
    std::uint32_t orphan_grace_ms = 2000;
    friend bool operator==(const ShimSetup&, const ShimSetup&) = default;
};

/// Supervisor to parent: answer to SignalRanks, for each of its ranks: the signal was sent.
struct RankSignalled {
    std::int32_t rank = 0;
    std::int32_t signal = 0;
    friend bool operator==(const RankSignalled&, const RankSignalled&) = default;
};

/// Supervisor to parent: so many bytes of RankInput are no longer queued for this rank: its program's pipe
/// has taken them, or nobody will read them any more.
struct RankInputTaken {
    std::int32_t rank = 0;
    std::uint64_t bytes = 0;
    friend bool operator==(const RankInputTaken&, const RankInputTaken&) = default;
};

/// Parent to shim: the ends of all ranks are confirmed, so it may leave. Until then a shim whose rank
/// failed stays, because its launcher would end the other ranks.
struct Dismiss {
    friend bool operator==(const Dismiss&, const Dismiss&) = default;
};

/// Parent to rank: where does the thread stand that executes tasks? Only to ranks that named kStackReports
/// in their Hello.
struct ReportStack {
    std::uint64_t task_id = 0;  ///< whose deadline has passed
    friend bool operator==(const ReportStack&, const ReportStack&) = default;
};

/// Rank to parent, answer to ReportStack, at most kReportedFrames and kReportedBytes.
struct StackReport {
    std::uint64_t task_id = 0;
    std::vector<std::string> frames;  ///< innermost first
    std::string missing;              ///< why there are none; empty otherwise
    friend bool operator==(const StackReport&, const StackReport&) = default;
};

/// Parent to supervisor: what did this rank write to its standard error last? It has failed, but goes on.
struct ReportTail {
    std::int32_t rank = 0;
    std::uint64_t call = 0;
    friend bool operator==(const ReportTail&, const ReportTail&) = default;
};

/// Supervisor to parent, answer to ReportTail: as in RankExited, with all that the rank had written when it
/// was asked.
struct TailReport {
    std::int32_t rank = 0;
    std::uint64_t call = 0;
    std::vector<std::string> stderr_tail;
    friend bool operator==(const TailReport&, const TailReport&) = default;
};

/// Both ways, on every channel: bytes of a frame of a message that is too large to travel at once, and that follows
/// when all its parts have been sent.
struct MessagePart {
    std::uint16_t message = 0;  ///< the type of that message
    std::uint64_t frame = 0;    ///< which of its frames, from 1
    std::uint64_t size = 0;     ///< of the whole frame
    std::uint64_t offset = 0;   ///< where in the frame these bytes belong
    Tensor bytes;               ///< uint8, of one dimension
    friend bool operator==(const MessagePart&, const MessagePart&) = default;
};

/// The other way: so many bytes of parts have been read, and as many may follow.
struct PartsTaken {
    std::uint64_t bytes = 0;
    friend bool operator==(const PartsTaken&, const PartsTaken&) = default;
};

/// Both ways, on channels whose session outlives its connections, and outside of the sequence like Resume: what has
/// come.
struct Received {
    std::uint64_t last = 0;  ///< number of the last message that has come, and all before it; 0: none
    friend bool operator==(const Received&, const Received&) = default;
};

/// The peer's first message on each connection of such a channel, and the parent's answer: what has come, and that the
/// rest is to be sent again, since it may have been lost with another connection.
struct Resume {
    std::uint64_t session = 0;     ///< a random number that the peer has chosen
    std::uint64_t connection = 0;  ///< counts those of the session, from 1; the answer's is that of the question
    std::uint64_t last = 0;        ///< as in Received
    friend bool operator==(const Resume&, const Resume&) = default;
};

/// The largest part; what is no larger than this travels as one message. ZeroMQ does nothing else on a connection, and
/// with CURVE on none, while it handles one message.
inline constexpr std::size_t kPartBytes = std::size_t{1} << 20U;
/// What a sender of parts lets be on the way.
inline constexpr std::size_t kPartsOnTheWay = 4 * kPartBytes;

/// Capabilities in Hello.
inline constexpr const char* kZeromq = "zeromq";
inline constexpr const char* kSharedMemory = "shared-memory";
inline constexpr const char* kStackReports = "stack-reports";

inline constexpr std::size_t kReportedFrames = 64;
inline constexpr std::size_t kReportedBytes = std::size_t{16} * 1024;

using Message =
    std::variant<Hello, Initialise, Initialised, Execute, Result, Close, Attach, ParentEvent, EventDone, AbortTask,
                 FireEvent, EventHandled, ShimHello, RankStarted, RankNotStarted, RankOutput, RankExited, RankOutputEnd,
                 LauncherExited, SupervisionEnded, RankOutputCredit, RankInput, SignalRanks, EndGroup, Supervise,
                 LauncherStep, ShimSetup, RankSignalled, RankInputTaken, Dismiss, ReportStack, StackReport, ReportTail,
                 TailReport, MessagePart, PartsTaken, Received, Resume>;

/// A message's type number on the wire is its position in Message, from 1: append only.
template <typename Kind>
[[nodiscard]] std::uint16_t type_number() {
    static const auto kNumber = static_cast<std::uint16_t>(Message(Kind{}).index() + 1);
    return kNumber;
}
[[nodiscard]] inline std::uint16_t type_number(const Message& message) {
    return static_cast<std::uint16_t>(message.index() + 1);
}

}  // namespace rankexec::wire
