// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/component/executor.hpp"
#include "rankexec/core/executor/group_lifecycle.hpp"
#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/tensor_buffer.hpp"

namespace rankexec {

/// How the ranks are reached.
enum class Transport {
    automatic,  ///< shared memory for ranks on this host, where both sides can; ZeroMQ for all others
    zeromq,     ///< ZeroMQ alone
};

struct MultiProcessOptions {
    GroupOptions group;                     ///< program: the worker, e.g. {"rankexec-worker", "--plugin", "mine.so"}
    std::vector<ComponentSpec> components;  ///< built on every rank, in this order
    std::string executor_id;                ///< the component that executes tasks; empty: none
    std::chrono::milliseconds ready_timeout{60'000};    ///< launch until every rank has initialised
    std::chrono::milliseconds event_timeout{60'000};    ///< for a rank's answer to a parent event
    std::chrono::milliseconds end_run_timeout{10'000};  ///< for the ranks' end_run handlers
    std::chrono::milliseconds abort_grace{2'000};       ///< for the ranks to return from an aborted task
    Transport transport = Transport::automatic;
    /// Bytes of shared memory for large tensors, of tasks and of results together, while the group is up. It is taken
    /// when it is needed, and returned when it has not been for a while; what does not fit goes over ZeroMQ.
    std::size_t shared_memory_limit = std::size_t{4} << 30U;
    std::size_t queue_limit = 64;  ///< tasks that wait; one more is bad_request_data
    /// Called on a thread of the executor with every piece of output of a rank; may block, which
    /// pauses that rank's output, nothing else. What it throws is logged. Not set: output goes to our standard error
    /// streams.
    std::function<void(int rank, wire::OutputStream stream, std::string_view bytes)> on_output;
};

struct ExecuteOptions {
    std::chrono::milliseconds deadline{0};  ///< for the whole task, from submission; 0, or over ten years: none
    bool all_results = false;               ///< want every rank's result, not only rank 0's
};

/// What a task gave. `reply` is rank 0's, or the failure of the group; `results` holds every rank's
/// reply when all were asked for (without data for ranks that failed), and is empty otherwise.
struct GroupReply {
    Shareable reply;
    std::vector<Shareable> results;
};

/// What the executor can say about its group: for people and tests.
struct GroupReport {
    GroupState state = GroupState::idle;
    std::string run_id;
    std::uint32_t incarnation = 0;
    struct Rank {
        int rank = 0;
        std::string host;
        std::int64_t pid = 0;
        std::string transport;  ///< "memory", "ipc" or "tcp": what tasks go over; the rest goes over ZeroMQ
        std::string security;   ///< "plain" or "curve"
    };
    std::vector<Rank> ranks;
    /// After a group has ended: its processes that SIGKILL has not ended, by pid. They may be stuck in the
    /// kernel, or frozen, and end when that is over.
    std::vector<std::int64_t> surviving_pids;
    /// The first rank that, told to close, ended by a signal or with a code of its own: a destructor of one of
    /// its components may have crashed.
    std::optional<Failure> end_failure;
    /// After a group has ended: a log file in log_directory that could not be written to its end, and why (a full
    /// disk); empty: none.
    std::string log_error;
    std::uint64_t refused_handshakes = 0;  ///< connections without this run's credentials, and silent ones
    std::uint64_t dropped_messages = 0;    ///< stale or foreign messages; results of tasks that are over
};

/// Executes tasks on a group of rank processes.
///
/// As a component of an Engine it starts its group on the event start_run, ends it on end_run, and
/// passes every event that did not come from its own ranks on to them. Without an engine, or to learn
/// why a group could not be made ready, call initialise() and finalise(); start_run then finds the group.
///
/// Every member function may be called from any thread, and from handlers of relayed events, with
/// one exception: the destructor only from outside such handlers. execute() calls queue and run one
/// at a time, in order of submission.
class RANKEXEC_EXPORT MultiProcessExecutor : public Executor {
public:
    /// Throws ConfigurationError: rank_count, component_id_missing, component_id_duplicate,
    /// executor_id_unknown, launcher_unknown, option. Starts nothing.
    explicit MultiProcessExecutor(MultiProcessOptions options);
    ~MultiProcessExecutor() override;  ///< finalises

    /// Launches the group and waits until every rank is ready. On failure (launch_error,
    /// initialisation_error, task_aborted) the group has been ended. A call while a group is up, or
    /// has failed and was not finalised, fails with bad_request_data. After finalise() it starts the next
    /// incarnation.
    tl::expected<void, Failure> initialise(Context& context, const Signal& abort = {});

    /// Ends the group: close, graceful, forced; returns when everything is gone or has been reported
    /// as surviving in the log and in report(). Once per group; further calls wait for the first. From a handler of a
    /// relayed event it only starts the end and returns.
    void finalise();

    void handle_event(const std::string& type, Context& context) override;
    /// Finalises for good: no group can be started afterwards.
    void quiesce() override;

    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override;
    /// As execute(), with a deadline or the results of all ranks.
    GroupReply execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort,
                       const ExecuteOptions& options);
    /// Queues the task and returns. The future always gets a value, never an exception. `context` is
    /// shared: changes of the ranks appear in it.
    std::future<GroupReply> request_execute(std::string task, Shareable input, Context context,
                                            const Signal& abort = {}, ExecuteOptions options = {});

    /// Memory for a tensor of a task's input: while a group is up whose ranks share memory with us, they read it where
    /// it lies, and the tensor is never copied. Otherwise, and when all of shared_memory_limit is in use, it comes from
    /// the heap. The memory is used again when the last copy of the tensor is gone, here and on every rank; it stays
    /// valid after finalise(). Throws as TensorBuffer::make.
    [[nodiscard]] TensorBuffer allocate(DType dtype, Shape shape) const;

    [[nodiscard]] GroupReport report() const;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace rankexec
