// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/command_template.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rankexec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(SplitCommand, SplitsAsAShellDoes) {
    EXPECT_THAT(split_command("  a  b\tc\nd ").value(), ElementsAre("a", "b", "c", "d"));
    EXPECT_THAT(split_command("a 'b c' \"d e\" f\\ g").value(), ElementsAre("a", "b c", "d e", "f g"));
    EXPECT_THAT(split_command("x'y'\"z\"").value(), ElementsAre("xyz"));
    EXPECT_THAT(split_command("'' \"\"").value(), ElementsAre("", ""));
    EXPECT_THAT(split_command(R"('a\b' "a\b" "a\\b" "a\"b" "a\$b" a\\b)").value(),
                ElementsAre(R"(a\b)", R"(a\b)", R"(a\b)", "a\"b", "a$b", R"(a\b)"));
    EXPECT_THAT(split_command("a \\\n b").value(), ElementsAre("a", "b"));
    EXPECT_THAT(split_command("'$HOME | x' {n} * ~").value(), ElementsAre("$HOME | x", "{n}", "*", "~"));
    EXPECT_THAT(split_command("").value(), IsEmpty());
}

TEST(SplitCommand, RefusesWhatOnlyAShellCouldDo) {
    for (const auto* line : {"a | b", "a & b", "a; b", "a > b", "a < b", "a $B", "a `b`", "(a)", "\"$a\"", "\"`a`\""}) {
        const auto result = split_command(line);
        ASSERT_FALSE(result) << line;
        EXPECT_THAT(result.error(), HasSubstr("needs a shell"));
    }
}

TEST(SplitCommand, RefusesWhatIsNotFinished) {
    for (const auto* line : {"'a", "\"a", "\"a\\\"", "a\\"}) EXPECT_FALSE(split_command(line)) << line;
}

TEST(ExpandTemplate, LeavesOtherBracesAlone) {
    EXPECT_THAT(
        expand_template({"x", "{}", "{#}", "a{n}b{n}", "{hosts}", "{rank_program}"}, 3, {"h", "i"}, {"p", "q"}).value(),
        ElementsAre("x", "{}", "{#}", "a3b3", "h,i", "p", "q"));
}

TEST(ExpandTemplate, RefusesPlaceholdersThatDoNotExistOrHaveNothingToStandFor) {
    EXPECT_THAT(expand_template({"x", "{nn}", "{rank_program}"}, 3, {}, {"p"}).error(), HasSubstr("{world_size}"));
    EXPECT_THAT(expand_template({"x", "-H{hosts}", "{rank_program}"}, 3, {}, {"p"}).error(), HasSubstr("no hosts"));
}

TEST(ExpandTemplate, DoesNotLookForPlaceholdersInTheProgram) {
    EXPECT_THAT(expand_template({"x", "{rank_program}"}, 3, {}, {"{n}", "{rank_program}"}).value(),
                ElementsAre("x", "{n}", "{rank_program}"));
}

}  // namespace
}  // namespace rankexec
