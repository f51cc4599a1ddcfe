// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "rankexec/core/model/value.hpp"
#include "rankexec/core/system/event_loop.hpp"

namespace rankexec::cli {

/// Reads a descriptor on a thread of its own and hands what it reads to an EventLoop, piece by piece:
/// the next piece is read when the loop has taken the one before. Standard input is shared with others,
/// so it must stay blocking, and a read may block although poll() promised otherwise.
///
/// Member functions belong to the loop's thread. The descriptor stays the caller's and must stay open.
class InputReader {
public:
    /// `on_input` gets at least one byte, or none at the end of the input, and then no more. When it
    /// returns false, nothing more is read until proceed().
    InputReader(EventLoop& loop, int fd, std::function<bool(Bytes&&)> on_input);
    /// Calls back no more. Does not wait for the thread, which a terminal may hold.
    ~InputReader();
    InputReader(const InputReader&) = delete;
    InputReader& operator=(const InputReader&) = delete;

    /// Reads on, after on_input has returned false.
    void proceed();
    /// Tries again to read a terminal: this process may be in the foreground now.
    void resume();

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace rankexec::cli
