// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/parent_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <utility>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::worker {

struct ParentWatch::State {
    UniqueFd pidfd;
    UniqueFd stop;
    std::thread thread;
};

ParentWatch::ParentWatch(int pidfd, std::chrono::milliseconds grace, std::function<void()> on_gone)
    : state_(std::make_unique<State>()) {
    state_->pidfd.reset(pidfd);
    state_->stop.reset(::eventfd(0, EFD_CLOEXEC));
    state_->thread = std::thread([this, grace, on_gone = std::move(on_gone)] {
        std::array<pollfd, 2> waiting{{{state_->pidfd.get(), POLLIN, 0}, {state_->stop.get(), POLLIN, 0}}};
        while (::poll(waiting.data(), waiting.size(), -1) < 0) {
        }
        if (waiting[1].revents != 0) return;
        on_gone();
        // An orderly end within the grace shows as the stop event.
        (void)::poll(&waiting[1], 1, static_cast<int>(grace.count()));
        if (waiting[1].revents == 0) ::_exit(1);
    });
}

ParentWatch::~ParentWatch() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto size = ::write(state_->stop.get(), &one, sizeof one);
    state_->thread.join();
}

}  // namespace rankexec::worker
