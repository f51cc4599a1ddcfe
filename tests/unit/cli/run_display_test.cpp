// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/run_display.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <sstream>
#include <string_view>

#include "rankexec/core/system/unique_fd.hpp"
#include "temporary_folder.hpp"

namespace rankexec::cli {
namespace {

constexpr auto kOut = wire::OutputStream::standard_output;
constexpr auto kErr = wire::OutputStream::standard_error;

class RunDisplayTest : public testing::Test {
protected:
    RunDisplayTest() {
        output.reset(::open((folder.path() / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        errors.reset(::open((folder.path() / "err").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        options.world_size = 2;
        options.output_fd = output.get();
        options.error_fd = errors.get();
        options.size = [] { return std::pair<std::size_t, std::size_t>(24, 80); };
    }

    std::string written(const char* file) {
        writer.flush();
        std::ostringstream content;
        content << std::ifstream(folder.path() / file, std::ios::binary).rdbuf();
        return content.str();
    }

    TemporaryFolder folder;
    UniqueFd output;
    UniqueFd errors;
    OutputWriter writer;
    RunDisplay::Options options;
};

TEST_F(RunDisplayTest, WithoutATerminalEachMetricIsALine) {
    RunDisplay display(writer, options);
    display.begin_task("train", 1, 2);
    display.show_metric(1, Value::Map{{"loss", 0.5}});
    display.show_metric(7, Value::Map{{"loss", 0.5}});
    display.print("round 1\n");
    EXPECT_EQ(written("out"), "rank 1  train 1/2  loss 0.5\nround 1\n");
    EXPECT_EQ(written("err"), "");
}

TEST_F(RunDisplayTest, ATerminalGetsABlockThatIsDrawnInPlace) {
    options.live = true;
    RunDisplay display(writer, options);
    display.begin_task("train", 1, 2);
    EXPECT_EQ(written("out"), "rank 0  train 1/2\nrank 1  train 1/2\n");
    display.show_metric(1, Value::Map{{"loss", 0.5}});
    EXPECT_EQ(written("out"),
              "rank 0  train 1/2\nrank 1  train 1/2\n"
              "\r\x1b[2A\x1b[Jrank 0  train 1/2\nrank 1  train 1/2  loss 0.5\n");
}

TEST_F(RunDisplayTest, TextGoesAboveTheBlock) {
    options.live = true;
    RunDisplay display(writer, options);
    display.begin_task("train", 1, 2);
    (void)written("out");
    display.show_rank_output(0, kOut, "hello\n");
    display.print_error("elsewhere\n");
    EXPECT_EQ(written("out"),
              "rank 0  train 1/2\nrank 1  train 1/2\n"
              "\r\x1b[2A\x1b[J[0] hello\nrank 0  train 1/2\nrank 1  train 1/2\n");
    EXPECT_EQ(written("err"), "elsewhere\n");
}

TEST_F(RunDisplayTest, ThreadsThatPrintAtTheSameTimeLeaveOneBlock) {
    options.live = true;
    RunDisplay display(writer, options);
    display.begin_task("train", 1, 2);
    constexpr int kLines = 3000;
    {
        const auto print_all = [&](const std::string& line) {
            for (int i = 0; i < kLines; ++i) display.print(line);
        };
        const auto first = std::async(std::launch::async, print_all, "first\n");
        const auto second = std::async(std::launch::async, print_all, "second\n");
    }
    const auto text = written("out");
    const auto count = [&](std::string_view part) {
        int found = 0;
        for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
        return found;
    };
    EXPECT_EQ(count("first\n") + count("second\n"), 2 * kLines);
    // Every block but the last was erased.
    EXPECT_EQ(count("rank 0  "), count("\x1b[2A\x1b[J") + 1);
}

TEST_F(RunDisplayTest, AfterTheEndTheBlockStays) {
    options.live = true;
    RunDisplay display(writer, options);
    display.begin_task("train", 1, 1);
    (void)written("out");
    display.end();
    display.print("table\n");
    EXPECT_EQ(written("out"), "rank 0  train 1/1\nrank 1  train 1/1\ntable\n");
}

TEST_F(RunDisplayTest, LabelsLinesOfRanksAndCompletesThemAtTheEnd) {
    RunDisplay display(writer, options);
    display.show_rank_output(1, kErr, "no line end");
    display.show_rank_output(0, kErr, "line\n");
    EXPECT_EQ(written("err"), "[0] line\n");
    display.end();
    EXPECT_EQ(written("err"), "[0] line\n[1] no line end\n");
}

TEST_F(RunDisplayTest, TheLauncherCanBeHidden) {
    options.launcher = "mpirun";
    RunDisplay display(writer, options);
    display.show_rank_output(-1, kErr, "before\n");
    display.hide_launcher();
    display.show_rank_output(-1, kErr, "after\n");
    EXPECT_EQ(written("err"), "[mpirun] before\n");
}

TEST_F(RunDisplayTest, AddsUpTheWork) {
    RunDisplay display(writer, options);
    display.show_metric(1, Value::Map{{"samples", 5}});
    display.show_metric(1, Value::Map{{"samples", 6}});
    EXPECT_EQ(display.work()[1].samples, 11);
}

}  // namespace
}  // namespace rankexec::cli
