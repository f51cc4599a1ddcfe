// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <future>
#include <memory>

#include "rankexec/core/cli/input_reader.hpp"
#include "rankexec/core/cli/output_writer.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::cli {
namespace {

struct Pipe {
    Pipe() {
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        reader.reset(ends[0]);
        writer.reset(ends[1]);
    }
    std::string read(std::size_t size) const {
        std::string text(size, '\0');
        for (std::size_t done = 0; done < size;) {
            const auto got = ::read(reader.get(), text.data() + done, size - done);
            if (got <= 0) throw std::runtime_error("read");
            done += static_cast<std::size_t>(got);
        }
        return text;
    }
    UniqueFd reader;
    UniqueFd writer;
};

class OutputWriterTest : public testing::Test {
protected:
    void SetUp() override { std::signal(SIGPIPE, SIG_IGN); }
};

TEST_F(OutputWriterTest, WritesInOrderAndReportsEach) {
    const Pipe pipe;
    OutputWriter writer;
    std::promise<void> second;
    writer.write(pipe.writer.get(), "first ");
    writer.write_later(pipe.writer.get(), "later", [](const std::string& text) { return text + " "; });
    writer.write(pipe.writer.get(), "second", [&] { second.set_value(); });
    second.get_future().wait();
    EXPECT_EQ(pipe.read(18), "first later second");
}

TEST_F(OutputWriterTest, FlushWaitsForEverythingBefore) {
    const Pipe pipe;
    OutputWriter writer;
    std::atomic<bool> done = false;
    writer.write(pipe.writer.get(), "x", [&] { done = true; });
    writer.flush();
    EXPECT_TRUE(done);
}

TEST_F(OutputWriterTest, ANonBlockingDescriptorIsWaitedFor) {
    const Pipe pipe;
    ASSERT_EQ(::fcntl(pipe.writer.get(), F_SETFL, O_NONBLOCK), 0);
    OutputWriter writer;
    const std::string much(1 << 20, 'x');
    writer.write(pipe.writer.get(), much);
    EXPECT_EQ(pipe.read(much.size()), much);
}

TEST_F(OutputWriterTest, ABrokenDescriptorIsReportedOnceAndDropped) {
    Pipe gone;
    const Pipe healthy;
    gone.reader.reset();
    std::vector<std::pair<int, int>> broken;
    OutputWriter writer([&](int fd, int error) { broken.emplace_back(fd, error); });
    int done = 0;
    writer.write(gone.writer.get(), "a", [&] { ++done; });
    writer.write(gone.writer.get(), "b", [&] { ++done; });
    writer.write(healthy.writer.get(), "c");
    writer.flush();
    EXPECT_EQ(done, 2);
    EXPECT_THAT(broken, testing::ElementsAre(std::pair(gone.writer.get(), EPIPE)));
    EXPECT_EQ(healthy.read(1), "c");
}

TEST_F(OutputWriterTest, AbandonDoesNotWaitForAReader) {
    Pipe pipe;
    std::atomic<int> calls = 0;
    // Kept with the writer's thread: given up when that has ended.
    auto keep = std::make_shared<std::promise<void>>();
    const auto over = keep->get_future();
    {
        OutputWriter writer([&calls, keep = std::move(keep)](int, int) { ++calls; });
        writer.write(pipe.writer.get(), std::string(1 << 20, 'x'), [&] { ++calls; });
        // The first write is under way: its thread waits for the reader.
        EXPECT_EQ(pipe.read(1), "x");
        writer.write(pipe.writer.get(), "never written", [&] { ++calls; });
        writer.abandon();
        writer.write(pipe.writer.get(), "nor this", [&] { ++calls; });
        writer.flush();
        writer.wait_below(1);
    }
    // The thread's write has to end before the descriptor does.
    pipe.reader.reset();
    over.wait();
    EXPECT_EQ(calls, 0);  // whoever they belong to is gone by then
}

TEST_F(OutputWriterTest, WithLimitedPatienceNobodyWaitsForAReaderThatTakesNothing) {
    Pipe pipe;
    auto keep = std::make_shared<std::promise<void>>();
    const auto ended = keep->get_future();
    {
        OutputWriter writer([keep = std::move(keep)](int, int) {});
        writer.write(pipe.writer.get(), std::string(1 << 20, 'x'));
        auto waiting = std::async(std::launch::async, [&] { writer.wait_below(1); });
        writer.limit_patience(std::chrono::milliseconds(1));
        waiting.wait();
        EXPECT_TRUE(writer.abandoned());
        writer.flush();
    }
    pipe.reader.reset();
    ended.wait();
}

TEST_F(OutputWriterTest, LimitedPatienceIsEnoughForAReaderThatTakes) {
    const Pipe pipe;
    OutputWriter writer;
    writer.limit_patience(std::chrono::minutes(1));
    for (const auto* text : {"a", "b", "c"}) writer.write(pipe.writer.get(), text);
    writer.flush();
    EXPECT_EQ(pipe.read(3), "abc");
    EXPECT_FALSE(writer.abandoned());
}

TEST_F(OutputWriterTest, WaitBelowReturnsWhenTheReaderCatchesUp) {
    const Pipe pipe;
    OutputWriter writer;
    const std::string much(1 << 20, 'x');
    writer.write(pipe.writer.get(), much);
    auto caught_up = std::async(std::launch::async, [&] { writer.wait_below(much.size()); });
    EXPECT_EQ(pipe.read(much.size()), much);
    caught_up.wait();
}

TEST(InputReader, HandsOverEverythingThenTheEnd) {
    Pipe pipe;
    EventLoop loop;
    std::string got;
    InputReader reader(loop, pipe.reader.get(), [&](Bytes&& bytes) {
        got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (bytes.empty()) loop.stop();
        return true;
    });
    const std::string much(300'000, 'y');
    auto feed = std::async(std::launch::async, [&] {
        OutputWriter writer;
        writer.write(pipe.writer.get(), much);
        writer.flush();
        pipe.writer.reset();
    });
    loop.run();
    EXPECT_EQ(got, much);
}

TEST(InputReader, ReadsNoFurtherUntilItMayProceed) {
    Pipe pipe;
    EventLoop loop;
    std::string got;
    int calls = 0;
    InputReader reader(loop, pipe.reader.get(), [&](Bytes&& bytes) {
        ++calls;
        got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (bytes.empty()) loop.stop();
        return calls > 1;
    });
    ASSERT_EQ(::write(pipe.writer.get(), "one", 3), 3);
    while (calls == 0) loop.run_once(std::chrono::milliseconds(-1));
    ASSERT_EQ(::write(pipe.writer.get(), "two", 3), 3);
    pipe.writer.reset();
    // A reader that did not wait would have had the time to read on.
    loop.run_once(std::chrono::milliseconds(50));
    EXPECT_EQ(got, "one");
    reader.proceed();
    loop.run();
    EXPECT_EQ(got, "onetwo");
}

TEST(InputReader, ReadsFiles) {
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EventLoop loop;
    InputReader reader(loop, file.get(), [&](Bytes&& bytes) {
        EXPECT_TRUE(bytes.empty());
        loop.stop();
        return true;
    });
    loop.run();
}

TEST(InputReader, CanGoWhileNothingComes) {
    const Pipe pipe;
    EventLoop loop;
    {
        const InputReader reader(loop, pipe.reader.get(), [](Bytes&&) {
            ADD_FAILURE();
            return true;
        });
    }
    loop.post([&] { loop.stop(); });
    loop.run();
}

}  // namespace
}  // namespace rankexec::cli
