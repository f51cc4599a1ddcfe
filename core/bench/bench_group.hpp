// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/bench/bench_options.hpp"
#include "rankexec/core/component/engine.hpp"

namespace rankexec::bench {

class EventCounter;

/// One group as a user would have it: the executor in an engine, beside a component that handles the ranks' events;
/// a context of ten properties and an input of four headers.
class BenchGroup {
public:
    /// Throws ConfigurationError. Starts nothing.
    BenchGroup(const BenchOptions& options, const Case& where);
    ~BenchGroup();  ///< ends the group
    BenchGroup(const BenchGroup&) = delete;
    BenchGroup& operator=(const BenchGroup&) = delete;

    [[nodiscard]] tl::expected<void, Failure> start();
    void stop();

    [[nodiscard]] tl::expected<GroupReply, Failure> execute(const std::string& task, const Shareable& input,
                                                            bool all_results);
    [[nodiscard]] std::future<GroupReply> request_execute(const std::string& task, const Shareable& input);
    /// Waits until that many events have come from the ranks, or the run is aborted.
    void wait_for_events(std::size_t count);
    [[nodiscard]] std::size_t events() const;
    /// Whether each rank's one-way events have come in the order in which they were fired.
    [[nodiscard]] bool events_in_order() const;

    /// As MultiProcessExecutor::allocate.
    [[nodiscard]] TensorBuffer allocate(std::uint64_t bytes) const;

    [[nodiscard]] const Shareable& input() const noexcept { return input_; }
    /// Processes of the ranks, when all of them run on this host; otherwise empty.
    [[nodiscard]] std::vector<pid_t> local_pids() const;
    /// What rank 0 is reached over, as Measurement::channel.
    [[nodiscard]] std::string channel() const;
    /// Highest peak of a rank; -1 where that is not known.
    [[nodiscard]] std::int64_t peak_of_ranks() const;

private:
    const Signal abort_;
    Shareable input_;
    Engine engine_;
    EventCounter* counter_ = nullptr;           ///< the engine's
    MultiProcessExecutor* executor_ = nullptr;  ///< the engine's
    Context context_;
    Signal::Subscription aborted_;
};

}  // namespace rankexec::bench
