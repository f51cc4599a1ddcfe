// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/input_reader.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::cli {

struct InputReader::State {
    State(EventLoop& event_loop, int input, std::function<bool(Bytes&&)> callback)
        : fd(input), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), loop(&event_loop), on_input(std::move(callback)) {
        if (!wake.valid()) throw std::system_error(errno, std::generic_category(), "eventfd");
    }

    static void run(const std::shared_ptr<State>& self) {
        std::array<std::byte, 16 * 1024> buffer;
        while (self->wait_readable()) {
            const auto size = ::read(self->fd, buffer.data(), buffer.size());
            if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (size < 0 && errno == EIO && ::isatty(self->fd) == 1) {
                if (!self->wait_foreground()) return;
                continue;
            }
            const auto taken = static_cast<std::size_t>(size > 0 ? size : 0);
            if (!hand_over(self, Bytes(buffer.data(), buffer.data() + taken)) || taken == 0) return;
        }
    }

    /// False when nobody wants the input any more.
    bool wait_readable() {
        std::array<pollfd, 2> polls{pollfd{fd, POLLIN, 0}, pollfd{wake.get(), POLLIN, 0}};
        while (::poll(polls.data(), polls.size(), -1) < 0 && errno == EINTR) {
        }
        const std::lock_guard lock(mutex);
        return !closed;
    }

    bool wait_foreground() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return closed || std::exchange(resumed, false); });
        return !closed;
    }

    /// Blocks until the loop has called back and wants more; false when it does not any more.
    static bool hand_over(const std::shared_ptr<State>& self, Bytes bytes) {
        std::unique_lock lock(self->mutex);
        if (self->closed) return false;
        self->taken = false;
        self->loop->post([self, piece = std::move(bytes)]() mutable {
            std::function<bool(Bytes &&)> callback;
            {
                const std::lock_guard inner(self->mutex);
                if (!self->closed) callback = self->on_input;
            }
            const bool proceed = !callback || callback(std::move(piece));
            const std::lock_guard inner(self->mutex);
            self->taken = true;
            self->paused = !proceed;
            self->changed.notify_all();
        });
        self->changed.wait(lock, [&] { return (self->taken && !self->paused) || self->closed; });
        return !self->closed;
    }

    const int fd;
    const UniqueFd wake;
    EventLoop* const loop;  ///< used while not closed
    const std::function<bool(Bytes&&)> on_input;
    std::mutex mutex;
    std::condition_variable changed;
    bool closed = false;
    bool resumed = false;
    bool taken = false;
    bool paused = false;
};

InputReader::InputReader(EventLoop& loop, int fd, std::function<bool(Bytes&&)> on_input)
    : state_(std::make_shared<State>(loop, fd, std::move(on_input))) {
    std::thread([state = state_] { State::run(state); }).detach();
}

InputReader::~InputReader() {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto size = ::write(state_->wake.get(), &one, sizeof one);
    state_->changed.notify_all();
}

void InputReader::proceed() {
    const std::lock_guard lock(state_->mutex);
    state_->paused = false;
    state_->changed.notify_all();
}

void InputReader::resume() {
    const std::lock_guard lock(state_->mutex);
    state_->resumed = true;
    state_->changed.notify_all();
}

}  // namespace rankexec::cli
