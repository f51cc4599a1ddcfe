// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"
#include "rankexec/ipc/pipe/pipe_handler_options.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec {

/// One conversation over an opened pipe: reads what comes, sends heartbeats, notices when the peer is gone, and sends
/// again what was not taken. A pipe may have one handler after another, but one at a time.
///
/// Threads: two of its own from start() to stop(). One reads and calls the callbacks; the other sends heartbeats, so
/// that no callback, and nothing that the program does elsewhere, keeps the peer from hearing that this process lives.
/// All member functions may be called from any thread; those that take a callback before start(); the destructor not
/// from a callback.
///
/// The reader ends after the peer's end or abort, and when the peer is gone: nothing has come for `peer_gone_after`, or
/// the pipe is broken. Heartbeats go on until stop(). After stop() has returned no callback is called.
///
/// While a callback runs, and while kQueued messages wait for next(), nothing is read; what has come meanwhile is read
/// before the peer's silence is judged.
class RANKEXEC_EXPORT PipeHandler {
public:
    using Milliseconds = std::chrono::milliseconds;
    using Callback = std::function<void(PipeMessage&&)>;
    static constexpr std::size_t kQueued = 1024;

    /// Throws ConfigurationError when the options contradict each other.
    PipeHandler(std::shared_ptr<Pipe> pipe, PipeHandlerOptions options = {});
    ~PipeHandler();
    PipeHandler(const PipeHandler&) = delete;
    PipeHandler& operator=(const PipeHandler&) = delete;

    // The four are set before start().

    /// Gets the peer's end or abort, or that it is gone. Without one, they come by next().
    void on_status(Callback callback);
    /// Gets all other messages. Without one, they come by next(). Exceptions of both are logged, and the reading goes
    /// on.
    void on_message(Callback callback);

    /// Sees each message that has come before anything else is done with it, heartbeats as well. False: it is thrown
    /// away, and is no sign of the peer's life.
    void on_arrival(std::function<bool(const PipeMessage&)> callback);
    /// Gets what has come and is no message. It may have been the one that is waited for.
    void on_bad(std::function<void(const std::string& what)> callback);

    /// Once. Throws std::system_error when threads have run out.
    void start();
    /// Ends all waits of this handler and both threads; closes the pipe on request. From a callback it returns before
    /// the threads have ended. Idempotent.
    void stop(bool close_pipe);

    /// The oldest message that no callback took; nothing after `timeout`, or when there is none and the reader has
    /// ended.
    [[nodiscard]] std::optional<PipeMessage> next(Milliseconds timeout, const Signal& cancel = {});

    /// Sends a message, and waits until the peer has taken it. With a time-out, on a pipe that can resend, and with a
    /// resend_interval, up to max_resends + 1 times, each for `timeout`; otherwise once. Ends early when `abort` is
    /// triggered, or this handler stopped: cancelled.
    [[nodiscard]] Pipe::Result send(const PipeMessage& message, std::optional<Milliseconds> timeout = {},
                                    const Signal& abort = {});

    /// Tell the peer, for notify_timeout at most: best effort, also after stop(), if the pipe is open. True when the
    /// peer has taken it.
    bool notify_end(const std::string& reason) noexcept;
    bool notify_abort(const std::string& reason) noexcept;

    /// While paused the peer's silence means nothing; reading and heartbeats go on. Resuming starts its time anew.
    void pause();
    void resume();

private:
    void read();
    [[nodiscard]] bool read_one();
    [[nodiscard]] Milliseconds patience() const;
    void peer_gone(const std::string& why);
    void deliver(PipeMessage&& message);
    void call(const Callback& callback, PipeMessage&& message);
    void queue(PipeMessage&& message);
    void send_heartbeats();
    bool notify(const PipeMessage& message) noexcept;
    [[nodiscard]] bool in_callback_thread() const;

    const std::shared_ptr<Pipe> pipe_;
    const PipeHandlerOptions options_;
    Callback status_;
    Callback message_;
    std::function<bool(const PipeMessage&)> arrival_;
    std::function<void(const std::string&)> bad_;
    const Signal stopping_;
    std::atomic<bool> paused_ = false;
    std::atomic<pipe::Clock::rep> heard_ = 0;  ///< since when the peer is silent
    std::atomic<bool> reader_ended_ = false;
    pipe::WaitRoom room_;
    std::mutex queue_mutex_;
    std::deque<PipeMessage> queue_;
    std::mutex threads_;
    std::atomic<std::thread::id> reader_id_{};
    std::thread reader_;
    std::thread heartbeats_;
};

}  // namespace rankexec
