// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/transport/unix_link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

wire::Frame frame_of(std::string text) {
    auto owner = std::make_shared<std::string>(std::move(text));
    return {std::as_bytes(std::span(owner->data(), owner->size())), owner};
}
std::string text_of(const std::vector<wire::Frame>& frames) {
    std::string text;
    for (const auto& frame : frames) {
        text.append(reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size()).append("|");
    }
    return text;
}

/// Two ends on one loop, which the test drives.
struct Link : ::testing::Test {
    struct End {
        std::vector<std::string> received;
        std::vector<std::string> closed;
        std::unique_ptr<UnixLink> link;
    };

    Link() {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
        open(left, UniqueFd(ends[0]));
        other = ends[1];
        open(right, UniqueFd(other));
    }

    void open(End& end, UniqueFd socket) {
        UnixLink::Callbacks callbacks;
        callbacks.on_message = [&end](std::vector<wire::Frame>&& frames) { end.received.push_back(text_of(frames)); };
        callbacks.on_closed = [&end](const std::string& error) { end.closed.push_back(error); };
        end.link = std::make_unique<UnixLink>(loop, std::move(socket), wire::Limits{}, std::move(callbacks));
    }

    void run_until(const std::function<bool()>& done) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < deadline) loop.run_once(milliseconds(1000));
        ASSERT_TRUE(done());
    }

    /// Past the right end.
    void write(std::span<const std::byte> bytes) const {
        EXPECT_EQ(::send(other, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    }

    EventLoop loop;
    End left;
    End right;
    int other = -1;  ///< the right end's socket
};

TEST_F(Link, CarriesMessagesBothWaysInOrder) {
    EXPECT_TRUE(left.link->send(std::array{frame_of("one"), frame_of("two")}));
    EXPECT_TRUE(left.link->send(std::array{frame_of("three"), frame_of("")}));
    EXPECT_TRUE(right.link->send(std::array{frame_of("back")}));
    run_until([&] { return right.received.size() == 2 && left.received.size() == 1; });
    EXPECT_THAT(right.received, ElementsAre("one|two|", "three||"));
    EXPECT_THAT(left.received, ElementsAre("back|"));
}

TEST_F(Link, LargeFramesArriveWholeWhateverTheSocketTakesAtATime) {
    const std::string large(std::size_t{9} << 20U, 'x');
    const std::string another(std::size_t{3} << 20U, 'y');
    EXPECT_TRUE(
        left.link->send(std::array{frame_of("envelope"), frame_of("body"), frame_of(large), frame_of(another)}));
    EXPECT_TRUE(left.link->send(std::array{frame_of("next")}));
    run_until([&] { return right.received.size() == 2; });
    EXPECT_TRUE(right.received[0] == "envelope|body|" + large + "|" + another + "|");
    EXPECT_EQ(right.received[1], "next|");
}

TEST_F(Link, FramesThatNobodyOwnsAreCopiedBeforeSendReturns) {
    const std::string former(std::size_t{4} << 20U, 'x');
    auto text = former;
    EXPECT_TRUE(left.link->send(std::array{frame_of("envelope"), frame_of("body"),
                                           wire::Frame{std::as_bytes(std::span(text.data(), text.size())), nullptr}}));
    text.assign(text.size(), 'y');
    run_until([&] { return right.received.size() == 1; });
    EXPECT_TRUE(right.received[0] == "envelope|body|" + former + "|");
}

TEST_F(Link, WhatIsQueuedIsHandedOverBeforeTheEnd) {
    const std::string large(std::size_t{1} << 20U, 'x');
    EXPECT_TRUE(left.link->send(std::array{frame_of("envelope"), frame_of("body"), frame_of(large)}));
    // Nobody reads: the time is bounded.
    left.link->flush(std::chrono::steady_clock::now() + milliseconds(1));
    EXPECT_TRUE(right.received.empty());
    left.link->send(std::array{frame_of("last")});
    run_until([&] { return right.received.size() == 2; });
    left.link.reset();
    run_until([&] { return !right.closed.empty(); });
    EXPECT_THAT(right.closed, ElementsAre(""));
    EXPECT_FALSE(right.link->send(std::array{frame_of("late")}));
}

TEST_F(Link, WhatThePeerSaidBeforeItWentIsHeard) {
    right.link->send(std::array{frame_of("farewell")});
    right.link.reset();
    while (left.link->send(std::array{frame_of("anybody there?")})) {
    }
    run_until([&] { return !left.closed.empty(); });
    EXPECT_THAT(left.received, ElementsAre("farewell|"));
    EXPECT_THAT(left.closed, ElementsAre(""));
}

TEST_F(Link, BytesThatAreNoMessageCloseIt) {
    const std::array<std::byte, 16> nothing{};
    write(nothing);  // a message without frames
    run_until([&] { return !left.closed.empty(); });
    EXPECT_THAT(left.closed.front(), HasSubstr("without frames"));
    run_until([&] { return !right.closed.empty(); });
    EXPECT_FALSE(left.link->send(std::array{frame_of("late")}));
}

TEST_F(Link, AnEndInsideAMessageIsAnError) {
    right.link->send(std::array{frame_of("whole")});
    const std::array half{std::byte{2}, std::byte{0}};
    write(half);
    right.link.reset();
    run_until([&] { return !left.closed.empty(); });
    EXPECT_THAT(left.received, ElementsAre("whole|"));
    EXPECT_THAT(left.closed, ElementsAre(HasSubstr("inside a message")));
}

}  // namespace
}  // namespace rankexec
