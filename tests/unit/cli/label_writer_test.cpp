// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/label_writer.hpp"

#include <gtest/gtest.h>

namespace rankexec::cli {
namespace {

constexpr auto kOut = wire::OutputStream::standard_output;
constexpr auto kErr = wire::OutputStream::standard_error;

TEST(LabelWriter, LabelsEveryLine) {
    LabelWriter labels;
    EXPECT_EQ(labels.add(3, kOut, "a\nb\n"), "[3] a\n[3] b\n");
    EXPECT_EQ(labels.add(10, kOut, "\n"), "[10] \n");
}

TEST(LabelWriter, PutsLinesTogetherFromPieces) {
    LabelWriter labels;
    EXPECT_EQ(labels.add(0, kOut, "hel"), "");
    EXPECT_EQ(labels.add(1, kOut, "other\n"), "[1] other\n");
    EXPECT_EQ(labels.add(0, kOut, "lo\nwor"), "[0] hello\n");
    EXPECT_TRUE(labels.holds_back());
    EXPECT_EQ(labels.add(0, kOut, "ld\n"), "[0] world\n");
    EXPECT_FALSE(labels.holds_back());
}

TEST(LabelWriter, KeepsStreamsApart) {
    LabelWriter labels;
    EXPECT_EQ(labels.add(0, kOut, "out"), "");
    EXPECT_EQ(labels.add(0, kErr, "err\n"), "[0] err\n");
    EXPECT_EQ(labels.add(0, kOut, "put\n"), "[0] output\n");
}

TEST(LabelWriter, CompletesTheLastLineAtTheEnd) {
    LabelWriter labels;
    EXPECT_EQ(labels.add(0, kOut, "no end"), "");
    EXPECT_EQ(labels.add(1, kOut, "nor here"), "");
    EXPECT_EQ(labels.finish(), "[0] no end\n[1] nor here\n");
    EXPECT_EQ(labels.finish(), "");
}

TEST(LabelWriter, ALineLetGoContinuesWithoutASecondLabel) {
    LabelWriter labels;
    EXPECT_EQ(labels.add(0, kOut, "name? "), "");
    EXPECT_EQ(labels.let_go(), "[0] name? ");
    EXPECT_EQ(labels.add(0, kOut, "thanks\n"), "thanks\n");
}

TEST(LabelWriter, ALineThatIsInterruptedIsBrokenThere) {
    LabelWriter labels;
    (void)labels.add(0, kOut, "name? ");
    EXPECT_EQ(labels.let_go(), "[0] name? ");
    EXPECT_EQ(labels.add(1, kOut, "x\n"), "\n[1] x\n");
    EXPECT_EQ(labels.add(0, kOut, "thanks\n"), "[0] thanks\n");
}

TEST(LabelWriter, DoesNotKeepMoreThanALongLine) {
    LabelWriter labels;
    const std::string endless(1000, 'x');
    std::size_t seen = 0;
    for (int piece = 0; piece < 1000; ++piece) seen += labels.add(0, kOut, endless).size();
    EXPECT_GT(seen, 900'000U);
    EXPECT_EQ(seen + labels.finish().size(), 1'000'000U + std::string("[0] \n").size());
}

TEST(LabelWriter, WithoutLabelsChangesNoByteAndMixesNoLines) {
    LabelWriter lines("local", false);
    EXPECT_EQ(lines.add(0, kOut, "hel"), "");
    EXPECT_EQ(lines.add(1, kOut, "other\nx"), "other\n");
    EXPECT_EQ(lines.add(0, kOut, "lo\n"), "hello\n");
    EXPECT_EQ(lines.let_go(), "x");
    EXPECT_EQ(lines.add(0, kOut, "y"), "");
    EXPECT_EQ(lines.finish(), "y");
}

TEST(LabelWriter, NamesTheLauncher) {
    LabelWriter labels("mpirun");
    EXPECT_EQ(labels.add(-1, kErr, "no such host\n"), "[mpirun] no such host\n");
}

TEST(LabelWriter, InterruptCompletesTheLineThatIsBegun) {
    LabelWriter labels;
    EXPECT_EQ(labels.interrupt(), "");
    (void)labels.add(0, kOut, "name? ");
    EXPECT_EQ(labels.interrupt(), "");
    (void)labels.let_go();
    EXPECT_EQ(labels.interrupt(), "\n");
    EXPECT_EQ(labels.add(0, kOut, "x\n"), "[0] x\n");
}

TEST(LabelWriter, KeepsBytesThatAreNoText) {
    LabelWriter labels;
    const std::string bytes("\x00\xff\r\x1b\n", 5);
    EXPECT_EQ(labels.add(0, kOut, bytes), "[0] " + bytes);
}

}  // namespace
}  // namespace rankexec::cli
