// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rankexec/core/cli/dry_run.hpp"
#include "rankexec/core/cli/resolve_job.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "temporary_folder.hpp"

namespace rankexec::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ResolveJobTest : public testing::Test {
protected:
    ResolveJobTest() { job.file = folder.path() / "job.toml"; }
    TemporaryFolder folder;
    Job job;
};

TEST_F(ResolveJobTest, NamesBecomePathsBesideTheJob) {
    const auto worker = folder.write("bin/worker", "", true);
    const auto plugin = folder.write("libparent.so", "");
    std::filesystem::create_directory(folder.path() / "work");
    job.executor.group.program = {"bin/worker", "--flag", "bin/worker"};
    job.executor.group.directory = "work";
    job.executor.group.log_directory = folder.path() / "logs" / "deep";
    job.parent_plugin = "libparent.so";
    ASSERT_TRUE(resolve_job(job).has_value());
    EXPECT_THAT(job.executor.group.program, ElementsAre(worker, "--flag", "bin/worker"));
    EXPECT_EQ(job.parent_plugin, plugin);
    EXPECT_EQ(job.executor.group.directory, folder.path() / "work");
    EXPECT_TRUE(std::filesystem::is_directory(folder.path() / "logs" / "deep"));
}

TEST_F(ResolveJobTest, TheRanksPluginIsHandedToTheWorker) {
    const auto worker = folder.write("worker", "", true);
    const auto plugin = folder.write("libmine.so", "");
    job.executor.group.program = {"worker"};
    job.plugin = "libmine.so";
    ASSERT_TRUE(resolve_job(job).has_value());
    EXPECT_THAT(job.executor.group.program, ElementsAre(worker, "--plugin", plugin));
}

TEST_F(ResolveJobTest, WhatIsMissingIsNamedWithItsKey) {
    job.executor.group.program = {"absent"};
    auto resolved = resolve_job(job);
    ASSERT_FALSE(resolved.has_value());
    EXPECT_EQ(resolved.error().exit_code, 127);
    EXPECT_THAT(resolved.error().message, AllOf(HasSubstr("job.toml: worker: 'absent'")));

    job.executor.group.program = {"/bin/sh"};
    job.parent_plugin = "libabsent.so";
    resolved = resolve_job(job);
    ASSERT_FALSE(resolved.has_value());
    EXPECT_EQ(resolved.error().exit_code, 2);
    EXPECT_THAT(resolved.error().message, HasSubstr("parent plugin: 'libabsent.so'"));

    job.parent_plugin.clear();
    job.executor.group.directory = "absent";
    resolved = resolve_job(job);
    ASSERT_FALSE(resolved.has_value());
    EXPECT_THAT(resolved.error().message, HasSubstr("is no directory"));
}

TEST_F(ResolveJobTest, OptionsWinOverTheJob) {
    job.executor.group.world_size = 4;
    job.executor.group.launcher = "mpirun";
    job.executor.group.launcher_args = {"--mca"};
    job.workflow.save_file = "a.npz";
    RunCommand command;
    apply_overrides(command, job);
    EXPECT_EQ(job.executor.group.world_size, 4);
    EXPECT_THAT(job.executor.group.launcher_args, ElementsAre("--mca"));
    command.ranks = 2;
    command.launcher = "srun";
    command.launcher_args = {"--overcommit"};
    command.save_file = "b.npz";
    command.hosts = {"n1"};
    apply_overrides(command, job);
    EXPECT_EQ(job.executor.group.world_size, 2);
    EXPECT_EQ(job.executor.group.launcher, "srun");
    EXPECT_THAT(job.executor.group.launcher_args, ElementsAre("--overcommit"));
    EXPECT_EQ(job.workflow.save_file, "b.npz");
    EXPECT_THAT(job.executor.group.hosts, ElementsAre("n1"));
    command.command_template = "x {rank_program}";
    EXPECT_THROW(apply_overrides(command, job), ConfigurationError);
    command.launcher = "command";
    apply_overrides(command, job);
    EXPECT_EQ(job.executor.group.command_template, "x {rank_program}");
}

TEST(DryRun, ShowsCommandAndRanks) {
    GroupOptions group;
    group.world_size = 2;
    group.program = {"prog", "an argument"};
    group.gpus_per_rank = 1;
    group.environment = {"NAME=a value", "CUDA_VISIBLE_DEVICES=0,1"};
    group.master_port = 4711;
    const auto text = describe_launch(group);
    ASSERT_TRUE(text.has_value());
    EXPECT_THAT(*text,
                AllOf(HasSubstr("prog 'an argument'\n"), HasSubstr("RANK=1"), HasSubstr("LOCAL_RANK=1"),
                      HasSubstr("MASTER_PORT=4711"), HasSubstr("CUDA_VISIBLE_DEVICES="), HasSubstr("'NAME=a value'")));
}

TEST(DryRun, ShowsWhichVariablesALauncherFillsIn) {
    GroupOptions group;
    group.world_size = 2;
    group.program = {"prog"};
    group.gpus_per_rank = 1;
    group.launcher = "command";
    group.command_template = "sh -c true {rank_program}";
    const auto text = describe_launch(group);
    ASSERT_TRUE(text.has_value()) << text.error().message;
    EXPECT_THAT(*text,
                AllOf(HasSubstr("RANK=1"), HasSubstr("LOCAL_RANK={chosen}"), HasSubstr("LOCAL_WORLD_SIZE={chosen}"),
                      HasSubstr("MASTER_ADDR={chosen}"), HasSubstr("CUDA_VISIBLE_DEVICES={chosen}")));
}

TEST(DryRun, FailsAsTheStartWould) {
    GroupOptions group;
    group.program = {"prog"};
    group.hosts = {"elsewhere"};
    EXPECT_FALSE(describe_launch(group).has_value());
    group.launcher = "no-such-launcher";
    EXPECT_THROW((void)describe_launch(group), ConfigurationError);
}

TEST(DryRun, QuotesForAShell) {
    EXPECT_EQ(shell_quoted({"plain", "a b", "it's", "", "$HOME"}), "plain 'a b' 'it'\\''s' '' '$HOME'");
}

}  // namespace
}  // namespace rankexec::cli
