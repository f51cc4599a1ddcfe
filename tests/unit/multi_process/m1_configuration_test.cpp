// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

using ::testing::HasSubstr;

ConfigurationError::Kind kind_of(const MultiProcessOptions& options) {
    try {
        MultiProcessExecutor executor(options);
    } catch (const ConfigurationError& error) {
        return error.kind();
    }
    ADD_FAILURE() << "no configuration error";
    return ConfigurationError::Kind::option;
}

TEST(M1_Configuration, ConfigurationErrorsAreNamed) {
    using Kind = ConfigurationError::Kind;
    EXPECT_EQ(kind_of(options_for(0)), Kind::rank_count);
    EXPECT_EQ(kind_of(options_for(-3)), Kind::rank_count);
    EXPECT_EQ(kind_of(options_for(1'000'000'000)), Kind::rank_count);
    auto options = options_for(1);
    options.components[0].id.clear();
    EXPECT_EQ(kind_of(options), Kind::component_id_missing);
    options = options_for(1);
    options.components.push_back(options.components[0]);
    EXPECT_EQ(kind_of(options), Kind::component_id_duplicate);
    options = options_for(1);
    options.executor_id = "nobody";
    EXPECT_EQ(kind_of(options), Kind::executor_id_unknown);
    options = options_for(1);
    options.group.launcher = "mpirum";
    EXPECT_EQ(kind_of(options), Kind::launcher_unknown);
    options = options_for(1);
    options.group.environment = {"LOCAL_RANK=7"};
    EXPECT_EQ(kind_of(options), Kind::option);
}

TEST(M1_Configuration, AnUnknownTypeOnARankIsAnErrorOfInitialiseWithTheRank) {
    auto options = options_for(2);
    options.components[0].type = "test_executr";
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().code, ReturnCode::initialisation_error);
    EXPECT_THAT(ready.error().message, HasSubstr("did you mean \"test_executor\""));
    EXPECT_TRUE(ready.error().rank);
    EXPECT_EQ(executor.report().state, GroupState::idle);
}

TEST(M1_Configuration, AnExecutorIdThatNamesNoExecutorIsAnErrorOfInitialise) {
    auto options = options_for(1);
    options.components = {{"executor", "no_executor", {}}};
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, HasSubstr("is no Executor"));
}

TEST(M1_Configuration, AComponentThatRefusesItsArgumentsIsAnErrorOfInitialise) {
    auto options = options_for(2);
    options.components[0].args["fail"] = "learning rate is negative";
    MultiProcessExecutor executor(options);
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_FALSE(ready);
    EXPECT_THAT(ready.error().message, HasSubstr("learning rate is negative"));
    EXPECT_THAT(ready.error().stderr_tail, testing::ElementsAre("about to refuse"));
}

}  // namespace
}  // namespace rankexec
