// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "job_text.hpp"
#include "rankexec/core/cli/resolve_job.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "temporary_folder.hpp"

/// Jobs whose tasks go to a program outside.
namespace rankexec::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

TEST(JobOutside, ALaunchedProgramNeedsOnlyItsCommand) {
    const auto job = parse("executor = \"launcher\"\nprogram.command = [\"./train\", \"-v\"]\n");
    EXPECT_EQ(job.kind, ExecutorKind::launcher);
    EXPECT_THAT(job.executor.group.program, ElementsAre("./train", "-v"));
    EXPECT_EQ(job.executor.group.world_size, 1);
    EXPECT_EQ(job.exchange.train_task, "train");
    EXPECT_EQ(job.exchange.metric, "accuracy");
    EXPECT_EQ(job.exchange.pre_initialise, 60s);
    EXPECT_TRUE(job.program.launch_once);
}

TEST(JobOutside, EveryKeyOfALaunchedProgramArrives) {
    const auto job = parse(R"(executor = "launcher"
[group]
ranks = 2
launcher = "mpirun"
grace_seconds = 3
[program]
command = ["train"]
launch_once = false
clean_up = ["rm", "-f", "x"]
pipe = "files"
pipe_directory = "/shared"
submit_model_task = "give"
other_tasks = ["a", "b"]
train_with_evaluation = true
launch_timeout_seconds = 1
pre_initialise_seconds = 2
last_result_transfer_seconds = 3
deferred_stop_seconds = 4
shutdown_timeout_seconds = 5
clean_up_timeout_seconds = 6
status_timeout_seconds = 7
stop_timeout_seconds = 8
open_timeout_seconds = 9
read_seconds = 0.5
heartbeat_interval_seconds = 10
peer_gone_after_seconds = 11
resend_interval_seconds = 12
task_taken_within_seconds = 13
notify_timeout_seconds = 14
[workflow]
train_task = "fit"
validate_task = "test"
metric = "f1"
task_deadline_seconds = 15
)");
    EXPECT_EQ(job.executor.group.world_size, 2);
    EXPECT_EQ(job.executor.group.launcher, "mpirun");
    EXPECT_FALSE(job.program.launch_once);
    EXPECT_THAT(job.program.clean_up, ElementsAre("rm", "-f", "x"));
    EXPECT_EQ(job.exchange.pipe.form, ExchangePipeOptions::Form::files);
    EXPECT_EQ(job.exchange.pipe.directory, "/shared");
    EXPECT_EQ(job.exchange.train_task, "fit");
    EXPECT_EQ(job.exchange.validate_task, "test");
    EXPECT_EQ(job.exchange.metric, "f1");
    EXPECT_EQ(job.exchange.submit_model_task, "give");
    EXPECT_THAT(job.exchange.other_tasks, ElementsAre("a", "b"));
    EXPECT_TRUE(job.exchange.train_with_evaluation);
    EXPECT_EQ(job.exchange.launch_timeout, 1s);
    EXPECT_EQ(job.exchange.pre_initialise, 2s);
    EXPECT_EQ(job.exchange.last_result_transfer, 3s);
    EXPECT_EQ(job.exchange.deferred_stop, 4s);
    EXPECT_EQ(job.program.shutdown_timeout, 5s);
    EXPECT_EQ(job.program.clean_up_timeout, 6s);
    EXPECT_EQ(job.exchange.status_timeout, 7s);
    EXPECT_EQ(job.exchange.stop_timeout, 8s);
    EXPECT_EQ(job.exchange.exchange.open_timeout, 9s);
    EXPECT_EQ(job.exchange.exchange.read, 500ms);
    EXPECT_EQ(job.exchange.exchange.heartbeat_interval, 10s);
    EXPECT_EQ(job.exchange.exchange.peer_gone_after, 11s);
    EXPECT_EQ(job.exchange.exchange.resend_interval, 12s);
    EXPECT_EQ(job.exchange.exchange.task_taken_within, 13s);
    EXPECT_EQ(job.exchange.exchange.notify_timeout, 14s);
    EXPECT_EQ(job.workflow.task_deadline, 15s);
}

TEST(JobOutside, EveryKeyOfAnAgentArrives) {
    const auto job = parse(R"(executor = "ipc"
[agent]
id = "gpu-box"
site = "a"
base_folder = "/run/x"
key_file = "key"
address = "10.0.0.1:99"
say_bye = false
max_attempts = 3
send_timeout_seconds = 1
resend_interval_seconds = 2
heartbeat_interval_seconds = 3
disconnected_after_seconds = 4
dead_after_seconds = 5
acknowledge_timeout_seconds = 6
)");
    EXPECT_EQ(job.kind, ExecutorKind::ipc);
    EXPECT_EQ(job.agent.agent_id, "gpu-box");
    EXPECT_EQ(job.agent.site, "a");
    EXPECT_EQ(job.agent.base_folder, "/run/x");
    EXPECT_EQ(job.agent.key_file, "key");
    EXPECT_EQ(job.agent.address, "10.0.0.1:99");
    EXPECT_FALSE(job.agent.say_bye);
    EXPECT_EQ(job.agent.max_attempts, 3);
    EXPECT_EQ(job.agent.send_timeout, 1s);
    EXPECT_EQ(job.agent.resend_interval, 2s);
    EXPECT_EQ(job.agent.heartbeat_interval, 3s);
    EXPECT_EQ(job.agent.disconnected_after, 4s);
    EXPECT_EQ(job.agent.dead_after, 5s);
    EXPECT_EQ(job.agent.acknowledge_timeout, 6s);
}

TEST(JobOutside, WhatIsMissingOrAnothersIsNamedWithItsLine) {
    EXPECT_THAT(refusal("executor = \"launchr\"\n"),
                AllOf(StartsWith("jobs/job.toml:1:"), HasSubstr("did you mean \"launcher\"?")));
    EXPECT_THAT(refusal("executor = 3\n"), HasSubstr("must be text"));
    EXPECT_THAT(refusal("executor = \"launcher\"\n"), HasSubstr("\"command\""));
    EXPECT_THAT(refusal("executor = \"launcher\"\nprogram.command = []\n"), HasSubstr("must name a program"));
    EXPECT_THAT(refusal("executor = \"ipc\"\n"), AllOf(HasSubstr("\"id\""), HasSubstr("missing")));
    EXPECT_THAT(
        refusal("executor = \"ipc\"\nagent.id = \"x\"\n[group]\nranks = 2\n"),
        AllOf(StartsWith("jobs/job.toml:3:"), HasSubstr("is for executor = \"multi_process\" and \"launcher\"")));
    EXPECT_THAT(refusal("[agent]\nid = \"x\"\n"), HasSubstr("is for executor = \"ipc\""));
    EXPECT_THAT(refusal("[program]\ncommand = [\"x\"]\n"), HasSubstr("is for executor = \"launcher\""));
    const std::string launched = "executor = \"launcher\"\nprogram.command = [\"x\"]\n";
    EXPECT_THAT(refusal(launched + "[[components]]\nid = \"x\"\ntype = \"t\"\n"),
                HasSubstr("this job has \"launcher\""));
    EXPECT_THAT(refusal(launched + "[group]\nworker = [\"x\"]\n"), HasSubstr("unknown key \"worker\" in [group]"));
    EXPECT_THAT(refusal("executor = \"launcher\"\n[program]\ncommand = [\"x\"]\npipe = \"pigeon\"\n"),
                AllOf(StartsWith("jobs/job.toml:4:"), HasSubstr("\"zeromq\" or \"files\"")));
    EXPECT_THAT(refusal("executor = \"launcher\"\n[program]\ncommand = [\"x\"]\npipe_directory = \"/x\"\n"),
                HasSubstr("pipe = \"files\""));
    EXPECT_THAT(refusal("executor = \"launcher\"\n[program]\ncommand = [\"x\"]\nlaunch_once = 1\n"),
                AllOf(HasSubstr(":4:"), HasSubstr("must be true or false")));
}

TEST(JobOutside, HeartbeatsRarerThanTheAgentIsPatientAreRefusedWithBothValues) {
    const std::string launched = "executor = \"launcher\"\n[program]\ncommand = [\"x\"]\npeer_gone_after_seconds = 0\n";
    EXPECT_THAT(refusal(launched + "heartbeat_interval_seconds = 45\n"),
                AllOf(HasSubstr(":5:"), HasSubstr("45.0 s"), HasSubstr("30.0 s")));
    EXPECT_NO_THROW(parse(launched + "heartbeat_interval_seconds = 29\n"));
}

TEST(JobOutside, OptionsForLaunchersAreOfNoUseWithAnAgent) {
    auto job = parse("executor = \"ipc\"\nagent.id = \"x\"\n");
    RunCommand command;
    EXPECT_NO_THROW(apply_overrides(command, job));
    command.ranks = 2;
    EXPECT_THROW(apply_overrides(command, job), ConfigurationError);
    auto launched = parse("executor = \"launcher\"\nprogram.command = [\"x\"]\n");
    apply_overrides(command, launched);
    EXPECT_EQ(launched.executor.group.world_size, 2);
    command.transport = Transport::zeromq;
    EXPECT_THROW(apply_overrides(command, launched), ConfigurationError);
}

TEST(JobOutside, TheProgramAndTheKeyAreFoundBesideTheJob) {
    const TemporaryFolder folder;
    const auto program = folder.write("train.sh", "#!/bin/sh\n", true);
    auto launched = parse("executor = \"launcher\"\nprogram.command = [\"./train.sh\"]\n");
    launched.file = folder.path() / "job.toml";
    ASSERT_TRUE(resolve_job(launched).has_value());
    EXPECT_EQ(launched.executor.group.program.front(), program);
    launched.executor.group.program = {"absent"};
    const auto missing = resolve_job(launched);
    ASSERT_FALSE(missing.has_value());
    EXPECT_EQ(missing.error().exit_code, 127);
    EXPECT_THAT(missing.error().message, HasSubstr("command: 'absent'"));

    auto attached = parse("executor = \"ipc\"\n[agent]\nid = \"x\"\nkey_file = \"key\"\n");
    attached.file = folder.path() / "job.toml";
    ASSERT_TRUE(resolve_job(attached).has_value());
    EXPECT_EQ(attached.agent.key_file, folder.path() / "key");
}

}  // namespace
}  // namespace rankexec::cli
