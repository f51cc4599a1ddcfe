// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "rankexec/core/cli/progress_board.hpp"
#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/model/printable.hpp"

namespace rankexec::cli {
namespace {

TEST(Table, AlignsTextLeftAndNumbersRight) {
    Table table({"rank", "host", "samples"});
    table.add_row({"0", "node-one", "5"});
    table.add_row({"10", "b", "1234"});
    EXPECT_EQ(table.text(),
              "rank  host      samples\n"
              "   0  node-one        5\n"
              "  10  b            1234\n");
}

TEST(Table, FillsShortRows) {
    Table table({"a", "b"});
    table.add_row({"x"});
    table.add_row({"y", "2", "more"});
    EXPECT_EQ(table.text(), "a  b\nx\ny  2\n");
}

TEST(Table, CountsCharactersNotBytes) {
    Table table({"name", "x"});
    table.add_row({"\xc3\xa4\xc3\xb6", "y"});
    EXPECT_EQ(table.text(), "name  x\n\xc3\xa4\xc3\xb6    y\n");
}

TEST(Table, FormatsFigures) {
    EXPECT_EQ(format_figure(3), "3");
    EXPECT_EQ(format_figure(0.123456), "0.1235");
    EXPECT_EQ(format_figure(1437), "1437");
    EXPECT_EQ(format_figure(1e300), "1e+300");
    EXPECT_EQ(format_metric(0.96944), "0.9694");
    EXPECT_EQ(format_seconds(0.414), "0.41");
    EXPECT_EQ(format_seconds(12.34), "12.3");
    EXPECT_EQ(format_seconds(1234.5), "1234");
}

TEST(Printable, DropsWhatATerminalWouldObey) {
    EXPECT_EQ(printable("plain\ttext", 100), "plain\ttext");
    EXPECT_EQ(printable("\x1b[31mred\x1b[0m", 100), "red");
    EXPECT_EQ(printable("a\x07\x7f\r\nb\x1b", 100), "ab");
    EXPECT_EQ(printable("\x1b[", 100), "");
    EXPECT_EQ(printable("\xff", 100), "\xef\xbf\xbd");
}

TEST(Printable, CutsBetweenCharacters) {
    EXPECT_EQ(printable(std::string(300, 'x'), 5), "xxxxx...");
    EXPECT_EQ(printable("abc\xc3\xa4\xc3\xb6", 4), "abc...");
    EXPECT_EQ(printable("abc", 3), "abc");
}

TEST(ProgressBoard, ShowsCountersFirstThenFigures) {
    ProgressBoard board(2);
    board.begin("train", 2, 5);
    EXPECT_EQ(board.line(1), "rank 1  train 2/5");
    ASSERT_TRUE(board.update(1, Value::Map{{"rank", 1},
                                           {"world_size", 2},
                                           {"round", 2},
                                           {"epoch", 1},
                                           {"epochs", 3},
                                           {"samples", 300},
                                           {"loss", 0.25},
                                           {"accuracy", 0.9},
                                           {"note", "text is no figure"}}));
    EXPECT_EQ(board.line(1), "rank 1  train 2/5  epoch 1/3  accuracy 0.9  loss 0.25");
    EXPECT_EQ(board.line(0), "rank 0  train 2/5");
}

TEST(ProgressBoard, AddsUpTheWork) {
    ProgressBoard board(2);
    for (int epoch = 1; epoch <= 3; ++epoch) (void)board.update(0, Value::Map{{"samples", 100}});
    EXPECT_EQ(board.work()[0].samples, 300);
    EXPECT_EQ(board.work()[0].events, 3);
    EXPECT_EQ(board.work()[1].events, 0);
}

TEST(ProgressBoard, IgnoresWhatIsNoMetric) {
    ProgressBoard board(1);
    EXPECT_FALSE(board.update(0, Value("text")));
    EXPECT_FALSE(board.update(1, Value::Map{}));
    EXPECT_FALSE(board.update(-1, Value::Map{}));
}

TEST(ProgressBoard, FitsTheTerminal) {
    ProgressBoard board(100);
    board.begin("train", 1, 1);
    EXPECT_EQ(board.lines(200, 80).size(), 100U);
    const auto few = board.lines(10, 12);
    ASSERT_EQ(few.size(), 10U);
    EXPECT_EQ(few[0], "rank 0  trai");
    EXPECT_EQ(board.lines(10, 80).back(), "... and 91 more ranks");
    EXPECT_TRUE(board.lines(0, 80).empty());
}

}  // namespace
}  // namespace rankexec::cli
