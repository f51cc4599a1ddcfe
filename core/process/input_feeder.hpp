// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>

#include "rankexec/core/model/value.hpp"
#include "rankexec/core/process/child_process.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {

/// Writes to one program's standard input without ever waiting for it. One thread, that of the loop;
/// the process must ignore SIGPIPE.
class InputFeeder {
public:
    /// What a program leaves unread is kept up to this; beyond it the input is cut off. Whoever heeds
    /// on_taken never gets there.
    static constexpr std::size_t kQueueBytes = std::size_t{64} << 20U;

    /// `on_taken`: so many bytes of those that were queued are no longer, written or thrown away.
    InputFeeder(EventLoop& loop, std::function<void(std::size_t)> on_taken)
        : loop_(loop), on_taken_(std::move(on_taken)) {}
    ~InputFeeder() { close_pipe(); }
    InputFeeder(const InputFeeder&) = delete;
    InputFeeder& operator=(const InputFeeder&) = delete;

    /// The end that becomes the program's standard input.
    [[nodiscard]] tl::expected<UniqueFd, StartError> open();

    /// Queues bytes; none: end of file after what is queued. False when the queue is full: then what
    /// was queued is still written and the input ends there.
    bool write(Bytes bytes);
    /// Throws away what is queued; on_taken is told.
    void close();

private:
    void write_some();
    void watch_if(bool wanted);
    void close_pipe();

    EventLoop& loop_;
    std::function<void(std::size_t)> on_taken_;
    UniqueFd pipe_;
    std::deque<Bytes> queue_;
    std::size_t queued_ = 0;   ///< bytes in queue_
    std::size_t written_ = 0;  ///< of the first entry
    bool ending_ = false;
    bool watched_ = false;
};

}  // namespace rankexec::process
