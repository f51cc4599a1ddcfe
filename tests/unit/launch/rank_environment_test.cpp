// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_environment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "recorded_environments.hpp"

namespace rankexec::worker {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;
using Environment = std::vector<std::string>;

Environment joined(Environment first, const Environment& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

RankPlace place(int rank, int world_size, int local_rank, int local_world_size) {
    return {rank, world_size, local_rank, local_world_size};
}

TEST(ReadLaunchedRank, ReadsEachLaunchersVariables) {
    EXPECT_EQ(read_launched_rank("mpirun", recorded::kOpenMpi, 2).value().place, place(1, 2, 1, 2));
    EXPECT_EQ(read_launched_rank("hydra", recorded::kHydra, 2).value().place, place(1, 2, 1, 2));
    EXPECT_EQ(read_launched_rank("torchrun", recorded::kTorchrun, 2).value().place, place(1, 2, 1, 2));
    const auto slurm = read_launched_rank("srun", recorded::kSlurm, 3).value();
    EXPECT_EQ(slurm.place, place(0, 3, 0, 2));
    EXPECT_EQ(slurm.step, "4.0");
}

TEST(ReadLaunchedRank, ReadsSlurmsTasksOfThisNode) {
    const auto local_size = [](const std::string& list, int node) {
        const Environment environment{"SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=9", "SLURM_LOCALID=0",
                                      "SLURM_STEP_TASKS_PER_NODE=" + list, "SLURM_NODEID=" + std::to_string(node)};
        return read_launched_rank("srun", environment, 9).value().place.local_world_size;
    };
    EXPECT_EQ(local_size("2(x3),3", 0), 2);
    EXPECT_EQ(local_size("2(x3),3", 2), 2);
    EXPECT_EQ(local_size("2(x3),3", 3), 3);
    EXPECT_EQ(local_size("9", 0), 9);
    EXPECT_EQ(local_size("2(x3),3", 4), -1);
    EXPECT_EQ(local_size("2(x", 0), -1);
    EXPECT_EQ(local_size("", 0), -1);
}

TEST(ReadLaunchedRank, ACommandMayBeAnyLauncher) {
    EXPECT_EQ(read_launched_rank("command", recorded::kOpenMpi, 2).value().place, place(1, 2, 1, 2));
    EXPECT_EQ(read_launched_rank("command", recorded::kHydra, 2).value().place, place(1, 2, 1, 2));
    EXPECT_EQ(read_launched_rank("command", recorded::kTorchrun, 2).value().place, place(1, 2, 1, 2));
    EXPECT_EQ(read_launched_rank("command", recorded::kSlurm, 3).value().step, "4.0");
    EXPECT_EQ(read_launched_rank("command", {"RANK=3"}, 4).value().place, place(3, 4, -1, -1));
}

TEST(ReadLaunchedRank, OfLaunchersWithinLaunchersTheOneOfTheRightSizeCounts) {
    EXPECT_EQ(read_launched_rank("command", joined(recorded::kOpenMpi, {"RANK=5", "WORLD_SIZE=8"}), 8).value().place,
              place(5, 8, -1, -1));
    EXPECT_EQ(read_launched_rank("command", joined(recorded::kSlurm, recorded::kOpenMpi), 2).value().place,
              place(1, 2, 1, 2));
}

TEST(ReadLaunchedRank, SaysWhatIsMissingOrWrong) {
    const auto error = [](std::string_view launcher, const Environment& environment, int world_size) {
        const auto result = read_launched_rank(launcher, environment, world_size);
        return result ? std::string() : result.error();
    };
    EXPECT_THAT(error("mpirun", recorded::kHydra, 2), HasSubstr("OMPI_COMM_WORLD_RANK is not set"));
    EXPECT_THAT(error("command", {}, 2), HasSubstr("Let it set RANK"));
    EXPECT_THAT(error("local", {"RANK=0"}, 2), HasSubstr("starts no rankexec-rank"));
    EXPECT_THAT(error("hydra", recorded::kHydra, 4), HasSubstr("started 2 processes (PMI_SIZE)"));
    EXPECT_THAT(error("command", {"RANK=x"}, 2), HasSubstr("RANK=x is not a number"));
    EXPECT_THAT(error("command", {"RANK=-1"}, 2), HasSubstr("RANK=-1 is not a number"));
    EXPECT_THAT(error("command", {"RANK=99999999999"}, 2), HasSubstr("is not a number"));
    EXPECT_THAT(error("command", {"RANK=2"}, 2), HasSubstr("out of range"));
    EXPECT_THAT(error("command", {"RANK=0", "LOCAL_RANK=2", "LOCAL_WORLD_SIZE=2"}, 2), HasSubstr("local rank 2"));
}

TEST(RankEnvironment, KeepsTheLaunchersOwnWorldAndDropsForeignOnes) {
    const auto under_mpirun =
        rank_environment("mpirun", joined(recorded::kSlurmPmi2, recorded::kOpenMpi), place(1, 2, 1, 2), {}).value();
    EXPECT_THAT(under_mpirun, IsSupersetOf({"RANK=1", "WORLD_SIZE=2", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2",
                                            "OMPI_COMM_WORLD_RANK=1", "PMIX_RANK=1"}));
    EXPECT_THAT(under_mpirun, Contains(StartsWith("OMPI_MCA_orte_hnp_uri=")));
    EXPECT_THAT(under_mpirun, Not(Contains(StartsWith("PMI_"))));
    EXPECT_THAT(under_mpirun, Not(Contains(StartsWith("SLURM_PROCID"))));

    const auto under_srun = rank_environment("srun", recorded::kSlurmPmi2, place(0, 2, 0, 1), {}).value();
    EXPECT_THAT(under_srun, Contains(StartsWith("PMI_FD=")));
    EXPECT_THAT(under_srun, Contains(StartsWith("SLURM_PROCID=")));
}

TEST(RankEnvironment, WhatTheParentAddsWins) {
    const auto environment =
        rank_environment("hydra", {"PATH=/bin", "A=1", "RANKEXEC_BOOTSTRAP=secret", "MASTER_PORT=1"},
                         place(0, 1, -1, -1), {"A=2", "LOCAL_RANK=0", "MASTER_PORT=2", "EMPTY=", "=broken", "broken"})
            .value();
    EXPECT_THAT(environment, IsSupersetOf({"PATH=/bin", "A=2", "LOCAL_RANK=0", "MASTER_PORT=2", "EMPTY="}));
    EXPECT_THAT(environment, Not(Contains("A=1")));
    EXPECT_THAT(environment, Not(Contains(StartsWith("RANKEXEC_"))));
}

TEST(RankEnvironment, UnderTorchrunItsMasterStays) {
    const auto environment = rank_environment("torchrun", recorded::kTorchrun, place(1, 2, 1, 2),
                                              {"MASTER_ADDR=10.0.0.1", "MASTER_PORT=4711", "A=1"})
                                 .value();
    EXPECT_THAT(environment, IsSupersetOf({"MASTER_ADDR=127.0.0.1", "MASTER_PORT=29500", "A=1"}));
}

TEST(RankEnvironment, SharesOutTheGpus) {
    const auto devices = [](const Environment& environment, int local_rank, const std::string& gpus) {
        const auto result =
            rank_environment("mpirun", environment, place(0, 8, local_rank, 8), {"RANKEXEC_GPUS_PER_RANK=" + gpus});
        return result ? environment_value(*result, "CUDA_VISIBLE_DEVICES").value_or("none") : result.error();
    };
    EXPECT_EQ(devices({"CUDA_VISIBLE_DEVICES=4,5, 6,7"}, 1, "2"), "6,7");
    EXPECT_EQ(devices({"CUDA_VISIBLE_DEVICES=GPU-a,GPU-b"}, 1, "1"), "GPU-b");
    EXPECT_EQ(devices({"CUDA_VISIBLE_DEVICES=4"}, 1, "0"), "4");
    EXPECT_THAT(devices({"CUDA_VISIBLE_DEVICES=4"}, 1, "1"), HasSubstr("names 1"));
    EXPECT_THAT(devices({"CUDA_VISIBLE_DEVICES="}, 0, "1"), HasSubstr("names 0"));
    EXPECT_THAT(devices({"CUDA_VISIBLE_DEVICES=0,-1,1"}, 1, "1"), HasSubstr("names 1"));
    EXPECT_THAT(devices({}, -1, "1"), HasSubstr("local rank is not known"));
}

TEST(RankEnvironment, DevicesAreCounted) {
    auto folder = testing::TempDir() + "/rankexec-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    for (const auto* name : {"nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia", "nvidia-uvm", "sda1"}) {
        std::ofstream(folder + "/" + name) << "";
    }
    EXPECT_EQ(devices_in(folder).devices, 3U);
    std::filesystem::remove_all(folder);
    EXPECT_EQ(devices_in(folder).devices, 0U);
}

TEST(RankEnvironment, WithoutAListTheHostsDevicesAreShared) {
    EXPECT_EQ(visible_devices({}, 3, 1, {"node", 0}), "3");
    EXPECT_EQ(visible_devices({}, 1, 2, {"node", 4}), "2,3");
    EXPECT_THAT(visible_devices({}, 1, 2, {"node", 3}).error(),
                AllOf(HasSubstr("on host node needs 2 GPU(s), that is 4"), HasSubstr("only 3 were found")));
    EXPECT_THAT(visible_devices("0,1", 0, 1000, {"node", 8}).error(),
                AllOf(HasSubstr("on host node"), HasSubstr("names 2"), HasSubstr("fewer GPUs per rank")));
}

TEST(RankEnvironment, LeavesGpusThatSlurmHasSharedOut) {
    const Environment environment{"SLURM_GPUS_PER_TASK=1", "CUDA_VISIBLE_DEVICES=0"};
    const auto result = rank_environment("srun", environment, place(1, 2, 1, 2), {"RANKEXEC_GPUS_PER_RANK=1"});
    EXPECT_EQ(environment_value(result.value(), "CUDA_VISIBLE_DEVICES"), "0");
}

}  // namespace
}  // namespace rankexec::worker
