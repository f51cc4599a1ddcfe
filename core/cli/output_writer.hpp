// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace rankexec::cli {

/// Writes to descriptors on a thread of its own, in the order asked for, so that a terminal or pipe
/// that takes nothing holds up nobody else. Every member function may be called from any thread; the
/// process must ignore SIGPIPE.
class OutputWriter {
public:
    /// Called on the writer's thread, once per descriptor: nothing more can be written to it (EPIPE, a
    /// full disk, ...). What is meant for it is dropped from then on.
    using Broken = std::function<void(int fd, int error)>;

    explicit OutputWriter(Broken on_broken = {});
    /// Writes what is queued first: call abandon() or limit_patience() before if that may take for ever.
    ~OutputWriter();
    OutputWriter(const OutputWriter&) = delete;
    OutputWriter& operator=(const OutputWriter&) = delete;

    /// Queues bytes and returns. `done` is called on the writer's thread once they were written or
    /// dropped; it must not block or throw.
    void write(int fd, std::string bytes, std::function<void()> done = {});

    /// As write(), but writes what `finish` makes of the bytes when it is their turn.
    void write_later(int fd, std::string bytes, std::function<std::string(std::string)> finish);

    /// Blocks until less than that many bytes wait.
    void wait_below(std::size_t bytes);

    /// Blocks until everything queued so far was written or dropped.
    void flush();

    /// From now on nobody waits in here, the destructor included, when nothing was written for so long: whoever does
    /// then abandons the writer. The first call counts.
    void limit_patience(std::chrono::milliseconds patience);

    /// Drops everything that waits, now and later, and lets the thread end as soon as the write that
    /// is under way returns; the destructor then does not wait for that. When this returns no callback
    /// runs, and none is called any more. Not to be called from one.
    void abandon();
    [[nodiscard]] bool abandoned() const;

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace rankexec::cli
