// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/event_loop.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

[[noreturn]] void throw_errno(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

}  // namespace

struct EventLoop::State {
    /// Each watch has a number of its own, because a descriptor's number may be reused between
    /// epoll_wait and the callback.
    struct Watch {
        std::uint64_t id;
        std::shared_ptr<FdCallback> callback;
    };

    UniqueFd epoll;
    UniqueFd wake;
    std::unordered_map<int, Watch> watches;
    std::unordered_map<std::uint64_t, int> watch_fds;
    std::uint64_t next_id = 1;
    std::multimap<Clock::time_point, std::pair<TimerId, std::function<void()>>> timers;
    std::map<std::uint64_t, std::shared_ptr<Source>> sources;
    std::vector<std::uint64_t> source_ids;  ///< of one pass
    std::atomic<std::thread::id> thread;

    std::mutex mutex;
    std::vector<std::function<void()>> posted;
    bool stopping = false;

    /// Whether there was any.
    bool run_posted() {
        std::vector<std::function<void()>> work;
        {
            const std::lock_guard lock(mutex);
            work.swap(posted);
        }
        for (auto& item : work) item();
        return !work.empty();
    }

    /// Whether any was due.
    bool run_timers() {
        const auto now = Clock::now();
        bool due = false;
        while (!timers.empty() && timers.begin()->first <= now) {
            auto callback = std::move(timers.begin()->second.second);
            timers.erase(timers.begin());
            due = true;
            callback();
        }
        return due;
    }

    /// Whether any did something or has more to do. A source may remove itself and others.
    bool run_sources() {
        bool more = false;
        source_ids.clear();
        for (const auto& [id, source] : sources) source_ids.push_back(id);
        for (const auto id : source_ids) {
            const auto found = sources.find(id);
            if (found == sources.end()) continue;
            const auto source = found->second;
            more = (*source)() || more;
        }
        return more;
    }

    /// Whether the next wait must not block. What one source does may be work for another, so all are asked again
    /// before the system is; once, for timers and descriptors have their turn too.
    bool sources_have_more() { return run_sources() && run_sources(); }

    [[nodiscard]] int timeout(std::chrono::milliseconds longest) const {
        auto wait = longest;
        if (!timers.empty()) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers.begin()->first - Clock::now());
            const auto bounded = std::max(left, std::chrono::milliseconds(0));
            wait = wait.count() < 0 ? bounded : std::min(wait, bounded);
        }
        constexpr std::chrono::milliseconds kLongest{60 * 60 * 1000};
        return wait.count() < 0 ? -1 : static_cast<int>(std::min(wait, kLongest).count());
    }

    [[nodiscard]] bool work_waits() {
        const std::lock_guard lock(mutex);
        return !posted.empty() || stopping;
    }

    void wait(std::chrono::milliseconds longest) {
        std::array<epoll_event, 64> events;
        const int time = work_waits() ? 0 : timeout(longest);
        const int count = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), time);
        if (count < 0 && errno != EINTR) throw_errno("epoll_wait");
        for (int index = 0; index < count; ++index) {
            const auto& event = events[static_cast<std::size_t>(index)];
            const auto fd = watch_fds.find(event.data.u64);
            if (fd == watch_fds.end()) continue;
            const auto callback = watches.at(fd->second).callback;
            (*callback)(event.events);
        }
    }
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {
    state_->epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!state_->epoll.valid()) throw_errno("epoll_create1");
    state_->wake.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!state_->wake.valid()) throw_errno("eventfd");
    // Each write is an edge, so that nothing has to be read.
    watch(state_->wake.get(), EPOLLIN | EPOLLET, [](std::uint32_t) {});
}

EventLoop::~EventLoop() = default;

void EventLoop::watch(int fd, std::uint32_t events, FdCallback callback) {
    const bool known = state_->watches.contains(fd);
    if (known) state_->watch_fds.erase(state_->watches.at(fd).id);
    const auto id = state_->next_id++;
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    if (::epoll_ctl(state_->epoll.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        throw_errno("epoll_ctl");
    }
    state_->watches.insert_or_assign(fd, State::Watch{id, std::make_shared<FdCallback>(std::move(callback))});
    state_->watch_fds.emplace(id, fd);
}

void EventLoop::unwatch(int fd) noexcept {
    const auto found = state_->watches.find(fd);
    if (found == state_->watches.end()) return;
    ::epoll_ctl(state_->epoll.get(), EPOLL_CTL_DEL, fd, nullptr);
    state_->watch_fds.erase(found->second.id);
    state_->watches.erase(found);
}

EventLoop::TimerId EventLoop::call_at(Clock::time_point when, std::function<void()> callback) {
    const auto id = state_->next_id++;
    state_->timers.emplace(when, std::pair(id, std::move(callback)));
    return id;
}

void EventLoop::cancel(TimerId timer) noexcept {
    for (auto entry = state_->timers.begin(); entry != state_->timers.end(); ++entry) {
        if (entry->second.first == timer) {
            state_->timers.erase(entry);
            return;
        }
    }
}

std::uint64_t EventLoop::add_source(Source source) {
    const auto id = state_->next_id++;
    state_->sources.emplace(id, std::make_shared<Source>(std::move(source)));
    return id;
}

void EventLoop::remove_source(std::uint64_t id) noexcept { state_->sources.erase(id); }

void EventLoop::post(std::function<void()> callback) {
    {
        const std::lock_guard lock(state_->mutex);
        state_->posted.push_back(std::move(callback));
        // One wake-up serves all that is queued before the loop takes the queue.
        if (state_->posted.size() > 1) return;
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto size = ::write(state_->wake.get(), &one, sizeof one);
}

void EventLoop::run() {
    constexpr std::chrono::milliseconds kNoLimit{-1};
    state_->thread = std::this_thread::get_id();
    for (;;) {
        {
            const std::lock_guard lock(state_->mutex);
            if (state_->stopping && state_->posted.empty()) {
                state_->stopping = false;
                return;
            }
        }
        state_->run_posted();
        state_->run_timers();
        state_->wait(state_->sources_have_more() ? std::chrono::milliseconds(0) : kNoLimit);
    }
}

void EventLoop::run_once(std::chrono::milliseconds longest) {
    state_->thread = std::this_thread::get_id();
    bool worked = state_->run_posted();
    worked = state_->run_timers() || worked;
    worked = state_->run_sources() || worked;
    state_->wait(worked ? std::chrono::milliseconds(0) : longest);
}

void EventLoop::stop() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->stopping = true;
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto size = ::write(state_->wake.get(), &one, sizeof one);
}

bool EventLoop::in_loop_thread() const noexcept { return state_->thread.load() == std::this_thread::get_id(); }

}  // namespace rankexec
