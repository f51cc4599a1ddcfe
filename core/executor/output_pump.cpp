// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/output_pump.hpp"

#include <unistd.h>

#include <cerrno>
#include <exception>
#include <string>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

void write_to_standard_streams(int /*rank*/, wire::OutputStream stream, std::string_view bytes) {
    const int fd = stream == wire::OutputStream::standard_output ? STDOUT_FILENO : STDERR_FILENO;
    while (!bytes.empty()) {
        const auto written = ::write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR) return;
        if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace

OutputPump::Sink OutputPump::to_standard_streams() { return write_to_standard_streams; }

OutputPump::OutputPump(Sink sink, Done done)
    : sink_(std::move(sink)), done_(std::move(done)), thread_([this] { run(); }) {}

OutputPump::~OutputPump() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void OutputPump::push(wire::RankOutput output) {
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back(std::move(output));
    }
    changed_.notify_all();
}

void OutputPump::drain(std::chrono::milliseconds longest) {
    if (std::this_thread::get_id() == thread_.get_id()) return;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, longest, [this] { return queue_.empty() && !busy_; });
}

void OutputPump::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty()) return;
        const auto output = std::move(queue_.front());
        queue_.pop_front();
        busy_ = true;
        lock.unlock();
        try {
            sink_(output.rank, output.stream,
                  std::string_view(reinterpret_cast<const char*>(output.bytes.data()), output.bytes.size()));
        } catch (const std::exception& error) {
            log::error(std::string("on_output threw, and that output is lost: ") + error.what());
        } catch (...) {
            log::error("on_output threw, and that output is lost");
        }
        done_(output.rank, output.bytes.size());
        lock.lock();
        busy_ = false;
        changed_.notify_all();
    }
}

}  // namespace rankexec
