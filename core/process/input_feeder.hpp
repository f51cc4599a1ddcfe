// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>

#include "rankexec/core/model/value.hpp"
#include "rankexec/core/process/child_process.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {

/// Writes to one program's standard input without ever waiting for it. One thread, that of the loop;
/// the process must ignore SIGPIPE.
class InputFeeder {
public:
    /// What a program leaves unread is kept up to this; beyond it the input is cut off.
    static constexpr std::size_t kQueueBytes = std::size_t{64} << 20U;

    explicit InputFeeder(EventLoop& loop) : loop_(loop) {}
    ~InputFeeder() { close(); }
    InputFeeder(const InputFeeder&) = delete;
    InputFeeder& operator=(const InputFeeder&) = delete;

    /// The end that becomes the program's standard input.
    [[nodiscard]] tl::expected<UniqueFd, StartError> open();

    /// Queues bytes; none: end of file after what is queued. False when the queue is full: then what
    /// was queued is still written and the input ends there.
    bool write(Bytes bytes);
    void close();

private:
    void write_some();

    EventLoop& loop_;
    UniqueFd pipe_;
    std::deque<Bytes> queue_;
    std::size_t queued_ = 0;   ///< bytes in queue_
    std::size_t written_ = 0;  ///< of the first entry
    bool ending_ = false;
    bool watched_ = false;
};

}  // namespace rankexec::process
