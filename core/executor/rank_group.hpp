// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/executor/group_options.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

class TransportServer;

/// One launched group of rank processes, whatever launched it: starts it through a guardian, says
/// what its ranks do, and ends it so that nothing survives. Knows nothing of tasks.
///
/// Lives on one EventLoop: every function is called on the loop's thread (start() may be called
/// before the loop runs), and so are the callbacks. A callback may call anything but the destructor.
class RANKEXEC_EXPORT RankGroup {
public:
    struct Callbacks {
        /// The channels listen, and no rank runs yet: what ranks are to find has to be there when this returns.
        std::function<void(TransportServer&)> on_listening = {};
        /// The rank's program runs.
        std::function<void(const wire::RankStarted&)> on_started;
        /// Bytes that a rank wrote; acknowledge_output() them when they have been dealt with.
        std::function<void(wire::RankOutput&&)> on_output;
        /// All output of a rank, or of the launcher command (-1), has been handed out, and its log files are closed.
        std::function<void(const wire::RankOutputEnd&)> on_output_end = {};
        /// A rank's program ended, or could not be started (then with exit code 125, 126 or 127 and the
        /// reason as its stderr tail). Once per rank.
        std::function<void(const wire::RankExited&)> on_exited;
        /// A signal of signal_ranks() was sent to this rank. Once per rank and call, as long as its
        /// supervisor can be reached.
        std::function<void(const wire::RankSignalled&)> on_signalled = {};
        /// Answer to ask_for_tail(), as long as the rank's supervisor can be reached.
        std::function<void(wire::TailReport&&)> on_tail = {};
        /// The ranks have taken enough of what write_input() queued: input_has_room() again.
        std::function<void()> on_input_room = {};
        /// The launcher failed, or the guardian died: the group is lost and being ended.
        std::function<void(const Failure&)> on_lost;
        /// Everything is gone, but for `surviving_pids`. Once, last.
        std::function<void(const wire::SupervisionEnded&)> on_ended;
    };

    /// Starts the guardian and, through it, the group. Fails with launch_error, and then leaves
    /// nothing behind. Throws ConfigurationError for options that cannot be used.
    ///
    /// `channels`: the ranks' programs are workers, which get a Bootstrap and talk to transport().
    /// `incarnation` counts the groups of one owner, from 1.
    static tl::expected<std::unique_ptr<RankGroup>, Failure> start(EventLoop& loop, const GroupOptions& options,
                                                                   Callbacks callbacks, bool channels = false,
                                                                   std::uint32_t incarnation = 1);
    virtual ~RankGroup() = default;

    /// Ends the group: graceful step now, forced step after `grace`. Again with a shorter grace: sooner.
    virtual void request_end(std::chrono::milliseconds grace) = 0;
    /// Sends a signal to the process groups of all ranks.
    virtual void signal_ranks(int signal) = 0;
    /// Bytes for the standard input of the ranks that have one; empty: end of file. Never blocks; what a
    /// rank has not read yet is queued, so write only while input_has_room().
    virtual void write_input(const Bytes& bytes) = 0;
    /// Less than 1 MiB is queued for each rank.
    [[nodiscard]] virtual bool input_has_room() const = 0;
    /// Allows as many further bytes of that rank's output.
    virtual void acknowledge_output(int rank, std::size_t bytes) = 0;
    /// Asks what a rank that runs has written to its standard error last; on_tail answers.
    virtual void ask_for_tail(const wire::ReportTail& ask) = 0;
    /// Identifies the group on the wire and in its processes' environment: 32 hexadecimal digits.
    [[nodiscard]] virtual const std::string& run_id() const = 0;
    /// Where the ranks' channels arrive; nullptr when the group was started without them.
    [[nodiscard]] virtual TransportServer* transport() = 0;
};

}  // namespace rankexec
