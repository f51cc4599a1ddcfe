// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/log_reader.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
namespace fs = std::filesystem;

struct Piece {
    std::string text;
    bool ended = false;
    friend bool operator==(const Piece&, const Piece&) = default;
};

class JobLog : public ::testing::Test {
protected:
    JobLog() : thread([this] { loop.run(); }) {}
    ~JobLog() override {
        loop.stop();
        thread.join();
    }
    [[nodiscard]] fs::path file() const { return folder.path() / "job" / "part.log"; }
    void write(const std::string& text) const {
        fs::create_directories(file().parent_path());
        std::ofstream(file(), std::ios::app) << text;
    }
    std::future<Piece> ask(std::int64_t offset, milliseconds patience, std::int64_t most = 1000) {
        auto promise = std::make_shared<std::promise<Piece>>();
        auto piece = promise->get_future();
        loop.post([=, this] {
            reader.ask({file(), offset, most, patience, [this] { return ended.load(); },
                        [promise](Bytes&& bytes, bool end) {
                            promise->set_value({{reinterpret_cast<const char*>(bytes.data()), bytes.size()}, end});
                        }});
        });
        return piece;
    }
    /// All that was posted before is done.
    void settle() {
        std::promise<void> done;
        loop.post([&] { done.set_value(); });
        done.get_future().wait();
    }

    cli::TemporaryFolder folder;
    std::atomic<bool> ended = false;
    EventLoop loop;
    LogReader reader{loop};
    std::thread thread;
};

TEST_F(JobLog, WhatIsThereComesAtOnceAndInPieces) {
    write("0123456789");
    EXPECT_EQ(ask(0, minutes(1), 4).get(), (Piece{"0123", false}));
    EXPECT_EQ(ask(4, milliseconds(0)).get(), (Piece{"456789", false}));
    EXPECT_EQ(ask(-3, milliseconds(0)).get(), (Piece{"789", false}));
    EXPECT_EQ(ask(10, milliseconds(0)).get(), (Piece{"", false}));
    EXPECT_EQ(ask(99, milliseconds(10)).get(), (Piece{"", false})) << "no longer than it has patience";
}

TEST_F(JobLog, MoreOfItWakesWhoWaits) {
    write("a");
    for (std::int64_t offset = 1; offset < 50; ++offset) {
        auto piece = ask(offset, minutes(10));
        settle();
        EXPECT_EQ(piece.wait_for(milliseconds(0)), std::future_status::timeout);
        write("b");
        EXPECT_EQ(piece.get(), (Piece{"b", false}));
    }
}

TEST_F(JobLog, AFolderAndAFileThatComeLaterAreSeen) {
    auto piece = ask(0, minutes(10));
    settle();
    write("first");
    EXPECT_EQ(piece.get(), (Piece{"first", false}));
}

TEST_F(JobLog, TheEndIsToldWithAllThatWasWrittenBefore) {
    write("a");
    auto piece = ask(1, minutes(10));
    settle();
    ended = true;
    loop.post([this] { reader.look(); });
    EXPECT_EQ(piece.get(), (Piece{"", true}));
    write("b");
    EXPECT_EQ(ask(1, minutes(10)).get(), (Piece{"b", true}));
}

TEST_F(JobLog, WhoWaitsIsAnsweredWhenItCloses) {
    auto first = ask(0, minutes(10));
    auto second = ask(7, minutes(10));
    loop.post([this] { reader.close(); });
    EXPECT_EQ(first.get(), Piece{});
    EXPECT_EQ(second.get(), Piece{});
}

}  // namespace
}  // namespace rankexec::job
