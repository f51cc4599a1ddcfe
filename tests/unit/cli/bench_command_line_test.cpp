// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rankexec/core/cli/command_line.hpp"

namespace rankexec::cli {
namespace {

using namespace std::chrono_literals;
using bench::Scenario;
using testing::ElementsAre;
using testing::HasSubstr;

tl::expected<Command, std::string> parse(std::vector<std::string> words) {
    words.insert(words.begin(), "bench");
    return parse_command_line(words, {"local", "mpirun", "command"});
}

BenchCommand accepted(const std::vector<std::string>& words) {
    auto command = parse(words);
    if (!command) throw std::runtime_error("refused: " + command.error());
    return std::get<BenchCommand>(std::move(*command));
}

std::string refusal(const std::vector<std::string>& words) {
    const auto command = parse(words);
    return command ? "accepted" : command.error();
}

TEST(BenchCommandLine, Defaults) {
    const auto command = accepted({});
    EXPECT_TRUE(command.options.group.group.program.empty());
    EXPECT_EQ(command.options.repetitions, 0);
    EXPECT_EQ(command.options.warm_up, -1);
    EXPECT_EQ(command.options.cases.size(), 11U * 4U);
    EXPECT_EQ(command.options.cases.front(), (bench::Case{Scenario::round_trip, 1, 0, "local", "auto", 0us, false}));
}

TEST(BenchCommandLine, CasesAreAllCombinations) {
    const auto command = accepted({"--scenario", "round-trip,fan-out", "-n", "2,8", "--payload", "64,1MiB",
                                   "--transport", "auto,zeromq", "--launcher", "local,mpirun", "--silence", "0,5"});
    const auto& cases = command.options.cases;
    // Silence is for small tasks, payloads for tensors.
    EXPECT_EQ(cases.size(), 2U * 2U * 2U * 2U + 2U * 2U * 2U * 2U);
    const bench::Case expected{Scenario::round_trip, 8, 0, "mpirun", "zeromq", 5ms, false};
    EXPECT_THAT(cases, testing::Contains(expected));
    EXPECT_EQ(cases.back(), (bench::Case{Scenario::fan_out, 8, 1048576, "mpirun", "zeromq", 0us, false}));
}

TEST(BenchCommandLine, OwnWorker) {
    const auto command =
        accepted({"--worker", "./mine", "--worker-arg=-v", "--task", "t", "--payload", "1MiB", "-n", "1,2"});
    EXPECT_THAT(command.options.group.group.program, ElementsAre("./mine", "-v"));
    EXPECT_EQ(command.component_type, kOnlyType);
    EXPECT_EQ(command.options.task, "t");
    EXPECT_EQ(command.options.cases.size(), 6U);
    EXPECT_EQ(command.options.cases.front(), (bench::Case{Scenario::task, 1, 1048576, "local", "auto", 0us, false}));
    EXPECT_EQ(accepted({"--worker", "./mine", "--task", "t", "--component", "mine"}).component_type, "mine");
    EXPECT_EQ(accepted({"--job", "job.toml", "--task", "t"}).job_file, "job.toml");
}

TEST(BenchCommandLine, Mistakes) {
    EXPECT_THAT(refusal({"--scenario", "round-trop"}), HasSubstr("did you mean 'round-trip'"));
    EXPECT_THAT(refusal({"--scenario", "tea"}), HasSubstr("there are round-trip"));
    EXPECT_THAT(refusal({"--scenario", "task"}), HasSubstr("--worker"));
    EXPECT_THAT(refusal({"--worker", "w", "--task", "t", "--scenario", "events"}), HasSubstr("task, start, stop"));
    EXPECT_THAT(refusal({"--worker", "w"}), HasSubstr("--task"));
    EXPECT_THAT(refusal({"--worker", "w", "--job", "j", "--task", "t"}), HasSubstr("both"));
    EXPECT_THAT(refusal({"--component", "c"}), HasSubstr("--worker"));
    EXPECT_THAT(refusal({"--task", "t"}), HasSubstr("--worker"));
    EXPECT_THAT(refusal({"-n", "1,none"}), HasSubstr("'none' is not a number of ranks"));
    EXPECT_THAT(refusal({"-n", ","}), HasSubstr("nothing between"));
    EXPECT_THAT(refusal({"--payload", "1XB"}), HasSubstr("--payload: '1XB' is no size"));
    EXPECT_THAT(refusal({"--payload", "0"}), HasSubstr("'0'"));
    EXPECT_THAT(refusal({"--transport", "tcp"}), HasSubstr("none of auto, zeromq"));
    EXPECT_THAT(refusal({"--launcher", "mpi"}), HasSubstr("--launcher"));
    EXPECT_THAT(refusal({"--launcher", "command"}), HasSubstr("--command-template"));
    EXPECT_THAT(refusal({"--hosts", "a,b"}), HasSubstr("other than local"));
    EXPECT_THAT(refusal({"--repetitions", "0"}), HasSubstr("above 0"));
    EXPECT_THAT(refusal({"--json", ""}), HasSubstr("empty"));
    EXPECT_THAT(refusal({"job.toml"}), HasSubstr("not expected"));
}

}  // namespace
}  // namespace rankexec::cli
