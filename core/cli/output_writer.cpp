// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/output_writer.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

namespace rankexec::cli {
namespace {

/// 0, or the errno that ended it. Descriptors may be non-blocking: whoever shares the terminal with
/// us decides that.
int write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto written = ::write(fd, bytes.data(), bytes.size());
        if (written >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            pollfd poll{fd, POLLOUT, 0};
            ::poll(&poll, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

}  // namespace

struct OutputWriter::State {
    struct Item {
        int fd;
        std::string bytes;
        std::function<std::string(std::string)> finish;
        std::function<void()> done;
    };

    explicit State(Broken on_broken) : broken(std::move(on_broken)) {}

    void push(Item item) {
        const std::lock_guard lock(mutex);
        if (abandoned) return;
        queued_bytes += item.bytes.size();
        items.push_back(std::move(item));
        ++accepted;
        wake.notify_one();
    }

    /// Whoever abandons the writer may be gone when a write that was under way returns: then nobody is told.
    template <typename Callback>
    void tell(Callback callback) {
        const std::lock_guard lock(calling);
        if (!silent) callback();
    }

    void write_item(Item& item) {
        tell([&] {
            if (item.finish) item.bytes = item.finish(std::move(item.bytes));
        });
        if (!failed.contains(item.fd)) {
            const int error = write_all(item.fd, item.bytes);
            if (error != 0) {
                failed.insert(item.fd);
                tell([&] {
                    if (broken) broken(item.fd, error);
                });
            }
        }
        tell([&] {
            if (item.done) item.done();
        });
    }

    void run() {
        std::unique_lock lock(mutex);
        for (;;) {
            wake.wait(lock, [&] { return !items.empty() || closing; });
            if (items.empty()) return;
            auto item = std::move(items.front());
            items.pop_front();
            const auto size = item.bytes.size();
            lock.unlock();
            write_item(item);
            lock.lock();
            if (!abandoned) queued_bytes -= size;
            ++finished;
            progress.notify_all();
        }
    }

    void abandon() {
        std::deque<Item> dropped;
        {
            const std::lock_guard lock(calling);
            silent = true;
        }
        const std::lock_guard lock(mutex);
        if (abandoned) return;
        abandoned = true;
        closing = true;
        thread.detach();
        queued_bytes = 0;
        dropped.swap(items);
        wake.notify_one();
        progress.notify_all();
    }

    /// Until that is so; with a limited patience as long as something is written now and then.
    template <typename Condition>
    void wait_until(Condition satisfied) {
        std::unique_lock lock(mutex);
        while (!abandoned && !satisfied()) {
            if (!patience) {
                progress.wait(lock);
                continue;
            }
            const auto moved = [this, seen = finished] { return abandoned || finished != seen; };
            if (progress.wait_for(lock, *patience, moved)) continue;
            lock.unlock();
            abandon();
            lock.lock();
        }
    }

    const Broken broken;
    std::set<int> failed;  // the writer's thread only
    std::mutex calling;    // held while a callback runs; taken before `mutex`
    bool silent = false;   // guarded by `calling`
    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable progress;
    std::deque<Item> items;
    std::size_t queued_bytes = 0;
    std::uint64_t accepted = 0;
    std::uint64_t finished = 0;
    std::optional<std::chrono::milliseconds> patience;
    bool closing = false;
    bool abandoned = false;
    std::thread thread;
};

OutputWriter::OutputWriter(Broken on_broken) : state_(std::make_shared<State>(std::move(on_broken))) {
    // The thread keeps the state alive: an abandoned one may be stuck in a write.
    state_->thread = std::thread([state = state_] { state->run(); });
}

OutputWriter::~OutputWriter() {
    std::unique_lock lock(state_->mutex);
    const bool limited = state_->patience.has_value();
    lock.unlock();
    if (limited) flush();
    lock.lock();
    state_->closing = true;
    state_->wake.notify_one();
    lock.unlock();
    if (state_->thread.joinable()) state_->thread.join();
}

void OutputWriter::write(int fd, std::string bytes, std::function<void()> done) {
    state_->push({fd, std::move(bytes), {}, std::move(done)});
}

void OutputWriter::write_later(int fd, std::string bytes, std::function<std::string(std::string)> finish) {
    state_->push({fd, std::move(bytes), std::move(finish), {}});
}

void OutputWriter::wait_below(std::size_t bytes) {
    state_->wait_until([&] { return state_->queued_bytes < bytes; });
}

void OutputWriter::flush() {
    std::unique_lock lock(state_->mutex);
    const auto target = state_->accepted;
    lock.unlock();
    state_->wait_until([&] { return state_->finished >= target; });
}

void OutputWriter::limit_patience(std::chrono::milliseconds patience) {
    const std::lock_guard lock(state_->mutex);
    if (!state_->patience) state_->patience = patience;
    state_->progress.notify_all();
}

void OutputWriter::abandon() { state_->abandon(); }

bool OutputWriter::abandoned() const {
    const std::lock_guard lock(state_->mutex);
    return state_->abandoned;
}

}  // namespace rankexec::cli
