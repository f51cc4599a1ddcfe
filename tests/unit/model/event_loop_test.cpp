// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/event_loop.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

using namespace std::chrono_literals;

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw std::system_error(errno, std::generic_category());
        reader.reset(ends[0]);
        writer.reset(ends[1]);
    }
    void write() const { EXPECT_EQ(::write(writer.get(), "x", 1), 1); }
    void read() const {
        char byte = 0;
        EXPECT_EQ(::read(reader.get(), &byte, 1), 1);
    }
    UniqueFd reader;
    UniqueFd writer;
};

TEST(EventLoop, RunsPostedWorkInOrderOnItsThread) {
    EventLoop loop;
    std::vector<int> order;
    EXPECT_FALSE(loop.in_loop_thread());
    std::thread thread([&] { loop.run(); });
    for (int index = 0; index < 100; ++index) {
        loop.post([&, index] {
            EXPECT_TRUE(loop.in_loop_thread());
            order.push_back(index);
        });
    }
    loop.stop();
    thread.join();
    ASSERT_EQ(order.size(), 100U) << "work posted before stop() still runs";
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(EventLoop, PostsFromManyThreadsAllArrive) {
    EventLoop loop;
    int count = 0;
    std::vector<std::thread> posting;
    for (int index = 0; index < 4; ++index) {
        posting.emplace_back([&] {
            for (int post = 0; post < 500; ++post) {
                loop.post([&] {
                    if (++count == 2000) loop.stop();
                });
            }
        });
    }
    loop.run();
    for (auto& thread : posting) thread.join();
    EXPECT_EQ(count, 2000);
}

TEST(EventLoop, CanRunAgainAfterStop) {
    EventLoop loop;
    int rounds = 0;
    for (; rounds < 2; ++rounds) {
        loop.post([&] { loop.stop(); });
        loop.run();
    }
    EXPECT_EQ(rounds, 2);
}

TEST(EventLoop, CallsBackWhileADescriptorIsReadable) {
    EventLoop loop;
    const Pipe pipe;
    int calls = 0;
    loop.watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t events) {
        EXPECT_NE(events & EPOLLIN, 0U);
        // Level-triggered: not reading the first time brings a second call.
        if (++calls < 2) return;
        pipe.read();
        loop.unwatch(pipe.reader.get());
        loop.stop();
    });
    pipe.write();
    loop.run();
    EXPECT_EQ(calls, 2);
}

TEST(EventLoop, WatchingAgainReplacesTheCallback) {
    EventLoop loop;
    const Pipe pipe;
    loop.watch(pipe.reader.get(), EPOLLIN, [](std::uint32_t) { FAIL() << "replaced"; });
    loop.watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t) { loop.stop(); });
    pipe.write();
    loop.run();
    loop.unwatch(pipe.reader.get());
}

TEST(EventLoop, TellsOfAHangUp) {
    EventLoop loop;
    Pipe pipe;
    std::uint32_t seen = 0;
    loop.watch(pipe.reader.get(), EPOLLIN, [&](std::uint32_t events) {
        seen = events;
        loop.stop();
    });
    pipe.writer.reset();
    loop.run();
    EXPECT_NE(seen & EPOLLHUP, 0U);
    loop.unwatch(pipe.reader.get());
}

TEST(EventLoop, AnUnwatchedDescriptorIsNotCalledBackEvenWhenItWasReady) {
    EventLoop loop;
    const Pipe first;
    const Pipe second;
    int calls = 0;
    const auto callback = [&](std::uint32_t) {
        ++calls;
        loop.unwatch(first.reader.get());
        loop.unwatch(second.reader.get());
        loop.stop();
    };
    loop.watch(first.reader.get(), EPOLLIN, callback);
    loop.watch(second.reader.get(), EPOLLIN, callback);
    first.write();
    second.write();
    loop.run();
    EXPECT_EQ(calls, 1);
}

TEST(EventLoop, ADescriptorThatReusesANumberIsNotCalledForItsPredecessor) {
    EventLoop loop;
    Pipe first;
    auto second = std::make_unique<Pipe>();
    bool swapped = false;
    const auto number = second->reader.get();
    const Pipe quiet;
    const auto swap = [&](std::uint32_t) {
        if (swapped) return;
        swapped = true;
        loop.unwatch(first.reader.get());
        loop.unwatch(number);
        // The number now stands for a pipe in which nothing is to be read.
        ASSERT_EQ(::dup3(quiet.reader.get(), number, O_CLOEXEC), number);
        loop.watch(number, EPOLLIN, [](std::uint32_t) { FAIL() << "nothing is readable"; });
        loop.post([&] { loop.stop(); });
    };
    loop.watch(first.reader.get(), EPOLLIN, swap);
    loop.watch(number, EPOLLIN, swap);
    first.write();
    second->write();
    loop.run();
    EXPECT_TRUE(swapped);
    loop.unwatch(number);
}

TEST(EventLoop, TimersRunInOrderOfTheirTime) {
    EventLoop loop;
    std::vector<int> order;
    const auto now = EventLoop::Clock::now();
    loop.call_at(now + 3ms, [&] {
        order.push_back(3);
        loop.stop();
    });
    loop.call_at(now + 1ms, [&] { order.push_back(1); });
    loop.call_at(now - 1h, [&] { order.push_back(0); });
    loop.call_at(now + 2ms, [&] { order.push_back(2); });
    loop.run();
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
}

TEST(EventLoop, ATimerIsNeverEarly) {
    EventLoop loop;
    const auto when = EventLoop::Clock::now() + 5ms;
    loop.call_at(when, [&] {
        EXPECT_GE(EventLoop::Clock::now(), when);
        loop.stop();
    });
    loop.run();
}

TEST(EventLoop, ACancelledTimerIsNotCalled) {
    EventLoop loop;
    const auto past = EventLoop::Clock::now() - 1s;
    EventLoop::TimerId second = 0;
    loop.call_at(past, [&] { loop.cancel(second); });
    second = loop.call_at(past, [] { FAIL() << "cancelled"; });
    loop.call_at(past, [&] { loop.stop(); });
    loop.cancel(12345);
    loop.run();
}

TEST(EventLoop, SourcesAreAskedBeforeEveryWait) {
    EventLoop loop;
    int asked = 0;
    std::uint64_t id = 0;
    id = loop.add_source([&] {
        if (++asked < 3) return true;
        loop.remove_source(id);
        loop.stop();
        return false;
    });
    loop.run();
    EXPECT_EQ(asked, 3);
    loop.run_once(0ms);
    EXPECT_EQ(asked, 3);
}

TEST(EventLoop, ARoundInWhichSomethingRanDoesNotWait) {
    EventLoop loop;
    int ran = 0;
    loop.call_at(EventLoop::Clock::now(), [&] { ++ran; });
    loop.run_once(-1ms);
    EXPECT_EQ(ran, 1);
    loop.post([&] { ++ran; });
    loop.run_once(-1ms);
    EXPECT_EQ(ran, 2);
}

TEST(EventLoop, ABadDescriptorIsAnError) {
    EventLoop loop;
    EXPECT_THROW(loop.watch(-1, EPOLLIN, [](std::uint32_t) {}), std::system_error);
    loop.unwatch(-1);
}

}  // namespace
}  // namespace rankexec
