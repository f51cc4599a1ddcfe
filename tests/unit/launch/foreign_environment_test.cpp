// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/foreign_environment.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recorded_environments.hpp"

namespace rankexec {
namespace {

using testing::Contains;
using testing::ElementsAreArray;
using testing::IsSupersetOf;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;
using Environment = std::vector<std::string>;

TEST(ForeignEnvironment, NothingThatTellsARankOfOpenMpiIsLeft) {
    EXPECT_THAT(without_foreign_ranks(recorded::kOpenMpi),
                UnorderedElementsAre("HFI_NO_BACKTRACE=1", "IPATH_NO_BACKTRACE=1",
                                     "PMIX_MCA_mca_base_component_show_load_errors=1"));
}

TEST(ForeignEnvironment, NothingThatTellsARankOfHydraIsLeft) {
    EXPECT_THAT(without_foreign_ranks(recorded::kHydra), UnorderedElementsAre("GFORTRAN_UNBUFFERED_PRECONNECTED=y"));
}

TEST(ForeignEnvironment, NothingThatTellsARankOfTorchrunIsLeft) {
    EXPECT_THAT(without_foreign_ranks(recorded::kTorchrun),
                UnorderedElementsAre("NCCL_ASYNC_ERROR_HANDLING=1", "OMP_NUM_THREADS=1", "ROLE_NAME=default"));
}

TEST(ForeignEnvironment, OfSlurmTheAllocationStaysAndTheStepGoes) {
    const auto clean = without_foreign_ranks(recorded::kSlurm);
    EXPECT_THAT(clean, IsSupersetOf({"SLURM_JOB_ID=4", "SLURM_JOBID=4", "SLURM_NODELIST=n[1-2]", "SLURM_NNODES=2",
                                     "SLURM_JOB_CPUS_PER_NODE=1(x2)", "SLURM_TASKS_PER_NODE=2,1"}));
    for (const auto* gone : {"SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS", "SLURM_STEP",
                             "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_SRUN_COMM", "SLURM_TASK_PID"}) {
        EXPECT_THAT(clean, Not(Contains(StartsWith(gone))));
    }
    EXPECT_THAT(without_foreign_ranks(recorded::kSlurmAllocation), ElementsAreArray(recorded::kSlurmAllocation));
    EXPECT_THAT(without_foreign_ranks(recorded::kSlurmPmi2), Not(Contains(StartsWith("PMI_"))));
}

TEST(ForeignEnvironment, WhatUsersSetStays) {
    const Environment users{"PATH=/bin",
                            "OMPI_MCA_btl=tcp,self",
                            "OMPI_MCA_hwloc_base_binding_policy=core",
                            "OMPI_ALLOW_RUN_AS_ROOT=1",
                            "OMPI_CC=gcc",
                            "PMIX_MCA_gds=hash",
                            "MPIR_CVAR_CH4_NETMOD=ofi",
                            "HYDRA_IFACE=lo",
                            "SLURM_PARTITION=test",
                            "SLURM_CONF=/etc/slurm.conf",
                            "RANKEXEC_LOG=debug",
                            "RANKEXEC_PROGRAM_DIR=/opt",
                            "CUDA_VISIBLE_DEVICES=2,3",
                            "RANKING=x"};
    EXPECT_THAT(without_foreign_ranks(users), ElementsAreArray(users));
}

TEST(ForeignEnvironment, ARunOfOursDoesNotReachTheNext) {
    EXPECT_THAT(without_foreign_ranks({"RANKEXEC_BOOTSTRAP=x", "RANKEXEC_BOOTSTRAP_FD=3", "RANKEXEC_BOOTSTRAP_FILE=y",
                                       "RANKEXEC_RUN_ID=z", "A=b"}),
                UnorderedElementsAre("A=b"));
}

}  // namespace
}  // namespace rankexec
