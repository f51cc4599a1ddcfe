// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>

#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec {

/// Hands the ranks' output to a callback that may block, on a thread of its own, so that a slow
/// terminal never holds up supervision. What waits here is bounded by the ranks' output credit.
class OutputPump {
public:
    using Sink = std::function<void(int rank, wire::OutputStream stream, std::string_view bytes)>;
    /// Called on the pump's thread when the sink has taken the bytes.
    using Done = std::function<void(int rank, std::size_t bytes)>;

    OutputPump(Sink sink, Done done);
    ~OutputPump();  ///< hands over what waits, then ends
    OutputPump(const OutputPump&) = delete;
    OutputPump& operator=(const OutputPump&) = delete;

    /// A sink that passes everything on to our own standard streams.
    [[nodiscard]] static Sink to_standard_streams();

    void push(wire::RankOutput output);
    /// Waits until everything pushed so far has been handed over, at most this long; on the pump's own
    /// thread not at all.
    void drain(std::chrono::milliseconds longest);

private:
    void run();

    Sink sink_;
    Done done_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<wire::RankOutput> queue_;
    bool busy_ = false;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace rankexec
