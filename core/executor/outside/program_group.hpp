// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/executor/group_record.hpp"
#include "rankexec/core/executor/output_pump.hpp"
#include "rankexec/core/executor/outside/launcher.hpp"
#include "rankexec/core/executor/rank_group.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/line_tail.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec {

/// One launched group of programs that are no workers, from its start to its end, with a thread of its own that looks
/// after it. Its output is drained whatever it is, and its last lines are kept.
///
/// Any thread; the destructor not from `on_change`, which is called on that thread whenever the status may have
/// changed.
class RANKEXEC_EXPORT ProgramGroup {
public:
    using Milliseconds = std::chrono::milliseconds;

    /// Starts the guardian and through it the group. Fails with launch_error.
    [[nodiscard]] static tl::expected<std::unique_ptr<ProgramGroup>, Failure> start(const GroupOptions& options,
                                                                                    OutputPump::Sink sink,
                                                                                    std::function<void()> on_change);
    ~ProgramGroup();  ///< ends it by force, if it has not ended
    ProgramGroup(const ProgramGroup&) = delete;
    ProgramGroup& operator=(const ProgramGroup&) = delete;

    /// Until every rank's program runs. Fails with launch_error when one cannot be started, and when the group has
    /// ended or `abort` was triggered meanwhile.
    [[nodiscard]] tl::expected<void, Failure> wait_until_started(const Signal& abort);
    /// Until all programs have ended by themselves; false: not within that time.
    [[nodiscard]] bool wait_until_exited(Milliseconds timeout);
    /// Terminates what still runs, kills it after `grace`, and returns when nothing is left, but for what nobody can
    /// kill, which is logged.
    void end(Milliseconds grace);

    [[nodiscard]] RunStatus status() const;
    /// Without the command line.
    [[nodiscard]] ProgramReport report() const;

private:
    ProgramGroup(int world_size, OutputPump::Sink sink, std::function<void()> on_change);

    [[nodiscard]] RankGroup::Callbacks callbacks();
    void on_output(wire::RankOutput&& output);
    void on_exited(const wire::RankExited& exited);
    void on_ended(const std::vector<std::int64_t>& surviving);
    void change(const std::function<void()>& what);
    [[nodiscard]] RunStatus status_locked() const;
    [[nodiscard]] Failure failure_locked() const;

    const std::function<void()> on_change_;
    pipe::WaitRoom room_;  ///< notified of every change below
    mutable std::mutex mutex_;
    GroupRecord record_;
    bool failed_ = false;  ///< the cause is known
    bool ended_ = false;   ///< nothing is left
    std::optional<Failure> lost_;
    LineTail output_;  ///< of rank 0
    EventLoop loop_;
    std::unique_ptr<OutputPump> pump_;
    std::unique_ptr<RankGroup> group_;  ///< on the loop's thread
    std::thread thread_;
};

}  // namespace rankexec
