// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/exit_code.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace rankexec::cli {
namespace {

Failure rank_failure(ExitStatus status) {
    Failure failure;
    failure.rank = 2;
    failure.exit = status;
    return failure;
}

TEST(ExitCode, IsTheFailingRanksOwn) {
    EXPECT_EQ(exit_code_of(rank_failure({false, 3})), 3);
    EXPECT_EQ(exit_code_of(rank_failure({true, SIGKILL})), 137);
    EXPECT_EQ(exit_code_of(rank_failure({true, SIGSEGV})), 139);
    EXPECT_EQ(exit_code_of(rank_failure({false, 127})), 127);
}

TEST(ExitCode, IsNeverZeroAfterAFailure) { EXPECT_EQ(exit_code_of(rank_failure({false, 0})), kExitFailure); }

TEST(ExitCode, TellsTimeoutsAndLauncherFailures) {
    Failure failure;
    failure.code = ReturnCode::task_timeout;
    EXPECT_EQ(exit_code_of(failure), kExitTimeout);
    failure.code = ReturnCode::initialisation_error;
    failure.ranks = {1, 2};
    EXPECT_EQ(exit_code_of(failure), kExitTimeout);
    failure.code = ReturnCode::launch_error;
    failure.exit = ExitStatus{false, 1};
    EXPECT_EQ(exit_code_of(failure), kExitLauncher);
}

TEST(ExitCode, ARankThatCouldNotBeStartedKeepsItsCode) {
    auto failure = rank_failure({false, kExitNotExecutable});
    failure.code = ReturnCode::launch_error;
    EXPECT_EQ(exit_code_of(failure), kExitNotExecutable);
}

TEST(ExitCode, AnExceptionOfUserCodeIsAFailure) {
    Failure failure;
    failure.code = ReturnCode::execution_exception;
    failure.rank = 1;
    EXPECT_EQ(exit_code_of(failure), kExitFailure);
}

TEST(ExitCode, MistakesBeforeTheStartAreUsage) {
    EXPECT_EQ(exit_code_of(ConfigurationError(ConfigurationError::Kind::job_file, "x")), kExitUsage);
    EXPECT_EQ(exit_code_of(ConfigurationError(ConfigurationError::Kind::launcher_unknown, "x")), kExitUsage);
}

}  // namespace
}  // namespace rankexec::cli
