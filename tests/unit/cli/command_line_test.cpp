// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace rankexec::cli {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kLaunchers{"local", "mpirun", "hydra", "torchrun", "srun", "command"};

template <typename T>
T parse_as(const std::vector<std::string>& arguments) {
    auto command = parse_command_line(arguments, kLaunchers);
    if (!command) throw std::runtime_error("refused: " + command.error());
    return std::get<T>(std::move(*command));
}

std::string refusal(const std::vector<std::string>& arguments) {
    const auto command = parse_command_line(arguments, kLaunchers);
    return command ? "accepted" : command.error();
}

TEST(CommandLine, LaunchDefaults) {
    const auto command = parse_as<LaunchCommand>({"launch", "--", "prog"});
    EXPECT_EQ(command.group.world_size, 1);
    EXPECT_EQ(command.group.launcher, "local");
    EXPECT_THAT(command.group.program, ElementsAre("prog"));
    EXPECT_EQ(command.group.stdin_mode, wire::StdinMode::rank_zero);
    EXPECT_TRUE(command.group.forward_output);
    EXPECT_EQ(command.group.grace, 5s);
    EXPECT_FALSE(command.timeout.has_value());
    EXPECT_FALSE(command.label);
}

TEST(CommandLine, LaunchTakesEveryOption) {
    ::setenv("RANKEXEC_CLI_TEST", "from us", 1);
    const auto command = parse_as<LaunchCommand>({"launch",
                                                  "-n",
                                                  "4",
                                                  "--launcher",
                                                  "command",
                                                  "-x",
                                                  "A=1=2",
                                                  "-x",
                                                  "RANKEXEC_CLI_TEST",
                                                  "--label",
                                                  "--tee",
                                                  "--log-dir",
                                                  "logs",
                                                  "--gpus-per-rank",
                                                  "2",
                                                  "--hosts",
                                                  "a,b",
                                                  "--master-addr",
                                                  "10.0.0.1",
                                                  "--master-port",
                                                  "4711",
                                                  "--stdin",
                                                  "all",
                                                  "--grace",
                                                  "0.5",
                                                  "--timeout",
                                                  "60",
                                                  "--dry-run",
                                                  "--contain",
                                                  "pidns",
                                                  "--launcher-arg",
                                                  "--mca",
                                                  "--launcher-arg",
                                                  "btl",
                                                  "--command-template",
                                                  "x {rank_program}",
                                                  "--heartbeat-timeout",
                                                  "0.25",
                                                  "--advertise-address",
                                                  "10.0.0.2",
                                                  "--",
                                                  "prog",
                                                  "-n",
                                                  "7",
                                                  "--",
                                                  "x"});
    const auto& group = command.group;
    EXPECT_EQ(group.world_size, 4);
    EXPECT_EQ(group.launcher, "command");
    EXPECT_THAT(group.environment, ElementsAre("A=1=2", "RANKEXEC_CLI_TEST=from us"));
    EXPECT_TRUE(command.label);
    EXPECT_TRUE(group.forward_output);
    EXPECT_EQ(group.log_directory, "logs");
    EXPECT_EQ(group.gpus_per_rank, 2);
    EXPECT_THAT(group.hosts, ElementsAre("a", "b"));
    EXPECT_EQ(group.master_address, "10.0.0.1");
    EXPECT_EQ(group.master_port, 4711);
    EXPECT_EQ(group.stdin_mode, wire::StdinMode::all);
    EXPECT_EQ(group.containment, wire::Containment::pid_namespace);
    EXPECT_EQ(group.grace, 500ms);
    EXPECT_EQ(command.timeout, 60s);
    EXPECT_TRUE(command.dry_run);
    EXPECT_THAT(group.launcher_args, ElementsAre("--mca", "btl"));
    EXPECT_EQ(group.command_template, "x {rank_program}");
    EXPECT_EQ(group.advertise_address, "10.0.0.2");
    EXPECT_EQ(group.heartbeat_timeout, 250ms);
    EXPECT_THAT(group.program, ElementsAre("prog", "-n", "7", "--", "x"));
}

TEST(CommandLine, LaunchWithoutDashesTakesTheRestAsTheProgram) {
    EXPECT_THAT(parse_as<LaunchCommand>({"launch", "-n", "2", "prog", "-n", "7", "--label"}).group.program,
                ElementsAre("prog", "-n", "7", "--label"));
}

TEST(CommandLine, LogFilesReplaceTheOutputUnlessTee) {
    EXPECT_FALSE(parse_as<LaunchCommand>({"launch", "--log-dir", "d", "--", "p"}).group.forward_output);
    EXPECT_THAT(refusal({"launch", "--tee", "--", "p"}), HasSubstr("--log-dir"));
}

TEST(CommandLine, RefusesBadRankCounts) {
    for (const auto* count : {"0", "-1", "four", "65537", "1e3", "99999999999999999999"}) {
        EXPECT_THAT(refusal({"launch", "-n", count, "--", "p"}), HasSubstr("-n: ")) << count;
        EXPECT_THAT(refusal({"run", "-n", count, "job.toml"}), HasSubstr("-n: ")) << count;
    }
}

TEST(CommandLine, NamesTheNearestOption) {
    EXPECT_THAT(refusal({"launch", "--lable", "--", "p"}), AllOf(HasSubstr("'--lable'"), HasSubstr("'--label'?")));
    EXPECT_THAT(refusal({"launch", "--log-dri=x", "--", "p"}), HasSubstr("'--log-dir'?"));
    EXPECT_THAT(refusal({"run", "--dryrun", "job.toml"}), HasSubstr("'--dry-run'?"));
    EXPECT_THAT(refusal({"lanch", "-n", "2"}), AllOf(HasSubstr("'lanch'"), HasSubstr("'launch'?")));
    EXPECT_THAT(refusal({"launch", "--launcher", "mpi-run", "--", "p"}), HasSubstr("'mpirun'?"));
    EXPECT_THAT(refusal({"launch", "--launcher", "kubernetes", "--", "p"}), HasSubstr("local, mpirun"));
}

TEST(CommandLine, RefusesWhatMakesNoSense) {
    EXPECT_THAT(refusal({"launch"}), HasSubstr("no program"));
    EXPECT_THAT(refusal({"launch", "--"}), HasSubstr("no program"));
    EXPECT_THAT(refusal({"launch", "stray", "--", "p"}), HasSubstr("'stray'"));
    EXPECT_THAT(refusal({"run"}), HasSubstr("no job file"));
    EXPECT_THAT(refusal({"run", "--transport", "tcp", "a.toml"}), HasSubstr("none of auto, zeromq"));
    EXPECT_THAT(refusal({"run", "a.toml", "b.toml"}), HasSubstr("b.toml"));
    EXPECT_THAT(refusal({"run", "-n", "1", "--", "true"}),
                AllOf(HasSubstr("run does not take true"), HasSubstr("rankexec launch")));
    EXPECT_THAT(refusal({"launch", "-x", "RANKEXEC_NOT_SET", "--", "p"}), HasSubstr("RANKEXEC_NOT_SET"));
    EXPECT_THAT(refusal({"launch", "-x", "=1", "--", "p"}), HasSubstr("names no variable"));
    EXPECT_THAT(refusal({"launch", "--command-template", "x {rank_program}", "--", "p"}),
                HasSubstr("--launcher command"));
    EXPECT_THAT(refusal({"launch", "--stdin", "1", "--", "p"}), HasSubstr("none of 0, none, all"));
    EXPECT_THAT(refusal({"launch", "--grace", "-1", "--", "p"}), HasSubstr("--grace"));
    EXPECT_THAT(refusal({"launch", "--timeout", "nan", "--", "p"}), HasSubstr("--timeout"));
    EXPECT_THAT(refusal({"launch", "--master-port", "70000", "--", "p"}), HasSubstr("65535"));
    EXPECT_THAT(refusal({"launch", "--gpus-per-rank", "two", "--", "p"}), HasSubstr("--gpus-per-rank"));
    EXPECT_NE(refusal({"launch", "-n"}), "accepted");
}

TEST(CommandLine, RefusesVariablesThatEveryRankGetsAnyway) {
    for (const auto* name :
         {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "RANKEXEC_RUN_ID", "RANKEXEC_BOOTSTRAP",
          "RANKEXEC_BOOTSTRAP_FILE", "RANKEXEC_GPUS_PER_RANK", "RANKEXEC_FOREIGN_PROGRAM", "RANKEXEC_PARENT_PIDFD"}) {
        for (const auto* value : {"", "=7"}) {
            EXPECT_THAT(refusal({"launch", "-x", std::string(name) + value, "--", "p"}),
                        HasSubstr("-x: " + std::string(name) + " is set by rankexec for each rank"));
        }
    }
    EXPECT_THAT(refusal({"launch", "-x", "MASTER_ADDR=h", "--", "p"}), HasSubstr("choose it with --master-addr"));
    EXPECT_THAT(refusal({"launch", "-x", "MASTER_PORT=1", "--", "p"}), HasSubstr("choose it with --master-port"));
    EXPECT_THAT(
        parse_as<LaunchCommand>({"launch", "-x", "RANKEXEC_NO_STACKS=1", "-x", "RANKS=2", "--", "p"}).group.environment,
        ElementsAre("RANKEXEC_NO_STACKS=1", "RANKS=2"));
}

TEST(CommandLine, RunTakesItsOptionsInAnyPlace) {
    const auto command = parse_as<RunCommand>({"run", "--launcher", "srun", "job.toml", "-n", "2", "--dry-run",
                                               "--save", "m.npz", "--hosts", "a", "--transport", "zeromq"});
    EXPECT_EQ(command.job_file, "job.toml");
    EXPECT_EQ(command.ranks, 2);
    EXPECT_EQ(command.launcher, "srun");
    EXPECT_EQ(command.save_file, "m.npz");
    EXPECT_EQ(command.transport, Transport::zeromq);
    EXPECT_THAT(command.hosts, ElementsAre("a"));
    EXPECT_TRUE(command.dry_run);
    EXPECT_FALSE(parse_as<RunCommand>({"run", "job.toml"}).ranks.has_value());
}

TEST(CommandLine, PrintsHelpAndVersion) {
    for (const auto& arguments : std::vector<std::vector<std::string>>{{}, {"help"}, {"--help"}, {"-h"}}) {
        EXPECT_THAT(parse_as<PrintCommand>(arguments).text, AllOf(HasSubstr("launch"), HasSubstr("run")));
    }
    EXPECT_THAT(parse_as<PrintCommand>({"help", "launch"}).text, HasSubstr("--gpus-per-rank"));
    EXPECT_THAT(parse_as<PrintCommand>({"launch", "--help"}).text, HasSubstr("--gpus-per-rank"));
    EXPECT_THAT(parse_as<PrintCommand>({"run", "-h"}).text, HasSubstr("JOB.toml"));
    EXPECT_THAT(parse_as<PrintCommand>({"--version"}).text, HasSubstr("rankexec 0."));
}

}  // namespace
}  // namespace rankexec::cli
