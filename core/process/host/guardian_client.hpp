// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// The host's end of a guardian: starts it, talks to it over a private socket, and knows when it is
/// gone. Leaves the host application untouched: no signal handler, no fork of the host's memory, no
/// wait for any child but the guardian. In a forked child of the host, an inherited GuardianClient
/// does nothing when it is destroyed.
///
/// Lives on one EventLoop; every function and callback on that loop's thread.
class RANKEXEC_EXPORT GuardianClient {
public:
    struct Callbacks {
        /// Must not destroy the client. RankStarted, RankNotStarted, RankOutput, RankExited, RankOutputEnd,
        /// LauncherExited, SupervisionEnded.
        std::function<void(wire::Message&&)> on_message;
        /// The guardian process ended. Once, last; may destroy the client. `expected` is true after
        /// SupervisionEnded. Otherwise the ranks die with the guardian, but the run directory, and what
        /// ranks put into the background, is left to the caller.
        std::function<void(bool expected)> on_gone;
    };

    /// Where the guardian lives, and with it all that it starts. Either way it has no terminal.
    enum class Place {
        /// For launcher commands, which may signal or take over what they find around them.
        own_session,
        /// For ranks that the guardian starts itself. Linux shares processors out among sessions first (sched(7), "The
        /// autogroup feature"), and a thread that yields only gives way within its own: a caller that waits for ranks
        /// of another session would keep a processor from them.
        our_session,
    };

    /// Starts rankexec-guardian; send(Supervise) follows. From the return of this on, the guardian removes
    /// `run_directory` (absolute, mode 0700, empty: none) when the group has ended or the host has died.
    /// A folder that is made only afterwards can therefore never stay behind. Fails with launch_error
    /// (program missing, descriptors or processes exhausted), and then leaves nothing behind.
    static tl::expected<std::unique_ptr<GuardianClient>, Failure> start(EventLoop& loop, const std::string& run_id,
                                                                        const std::string& run_directory, Place place,
                                                                        Callbacks callbacks);
    /// Ends the group by force if it is still there, for which it blocks up to some seconds, then kills
    /// the guardian (and by that its ranks), and reaps it. on_gone is not called.
    virtual ~GuardianClient() = default;

    /// Sends Supervise (once, first), RankOutputCredit, RankInput, SignalRanks, EndGroup or
    /// LauncherStep. Never blocks: what the socket does not take is queued. After the guardian is gone: nothing.
    /// False when the message is over the protocol's limits: then nothing was sent.
    virtual bool send(const wire::Message& message) = 0;

    /// Kills the guardian, and by that its ranks; on_gone follows. For one that does not answer any more.
    virtual void kill() = 0;

    [[nodiscard]] virtual pid_t pid() const = 0;
};

/// Absolute path of one of our helper programs ("rankexec-guardian", "rankexec-rank",
/// "rankexec-worker"): the directory in RANKEXEC_PROGRAM_DIR if set, else beside this library as built
/// (../bin) or installed (../libexec/rankexec, ../bin). Fails with launch_error, naming every place
/// that was looked at.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, Failure> find_program(const std::string& name);

}  // namespace rankexec
