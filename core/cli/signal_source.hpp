// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <initializer_list>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::cli {

/// Blocks signals in this thread and in those that it starts from now on: for a SignalSource that is
/// made when there are other threads already.
void block_signals(std::initializer_list<int> signals);

/// Signals of this process as callbacks of an EventLoop. A program of its own may do this; a library
/// must not.
///
/// The signals must be blocked in every thread. It does so in the calling one, and they stay blocked
/// afterwards: make one before any other thread exists, or call block_signals() then.
class SignalSource {
public:
    /// Throws std::system_error when descriptors have run out.
    SignalSource(EventLoop& loop, std::initializer_list<int> signals, std::function<void(int signal)> on_signal);
    ~SignalSource();
    SignalSource(const SignalSource&) = delete;
    SignalSource& operator=(const SignalSource&) = delete;

private:
    void read_signals();

    EventLoop& loop_;
    std::function<void(int)> on_signal_;
    UniqueFd fd_;
};

/// SIGPIPE shall be an error of write(), and reading the terminal from the background an error of
/// read() instead of a stop of this process. As with SignalSource: before any other thread exists.
void ignore_terminal_signals();

/// As the first process of a PID namespace (the entry point of a container) we are given what others leave
/// behind there: makes the kernel reap it. Nobody may wait for a child by anything but a pidfd afterwards.
void reap_as_first_process();

/// Whether a signal was set to be ignored by whoever started us, as nohup does with SIGHUP.
[[nodiscard]] bool is_ignored(int signal) noexcept;

/// Stops this process as Ctrl-Z does by default, and returns when it was continued. Also stops where
/// the kernel ignores a terminal's stop because no shell waits for it.
void stop_this_process();

}  // namespace rankexec::cli
