// SPDX-License-Identifier: Apache-2.0
// The stock worker, whose components come from plugin libraries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace rankexec {
namespace {

using ::testing::HasSubstr;

MultiProcessOptions options_with(const std::vector<std::string>& arguments) {
    MultiProcessOptions options;
    options.group.world_size = 2;
    options.group.program = {RANKEXEC_STOCK_WORKER};
    options.group.program.insert(options.group.program.end(), arguments.begin(), arguments.end());
    options.components = {{"executor", "plugin_executor", {}}};
    options.executor_id = "executor";
    options.on_output = [](int, wire::OutputStream, std::string_view) {};
    return options;
}

std::string failure_with(const std::vector<std::string>& arguments) {
    MultiProcessExecutor executor(options_with(arguments));
    Context context;
    const auto ready = executor.initialise(context);
    EXPECT_FALSE(ready);
    return ready ? "" : ready.error().describe();
}

TEST(StockWorker, BuildsComponentsFromAPlugin) {
    MultiProcessExecutor executor(options_with({"--plugin", RANKEXEC_TEST_PLUGIN}));
    Context context;
    const auto ready = executor.initialise(context);
    ASSERT_TRUE(ready) << ready.error().describe();
    const auto reply = executor.execute("any", {}, context, {});
    ASSERT_TRUE(reply.ok());
    EXPECT_EQ(reply.header("plugin_rank")->integer_or(-1), 0);
}

TEST(StockWorker, APluginWithoutItsEntryPointIsNamedWithWhatItLacks) {
    const auto failure = failure_with({"--plugin", RANKEXEC_NO_PLUGIN});
    EXPECT_THAT(failure, HasSubstr(RANKEXEC_NO_PLUGIN));
    EXPECT_THAT(failure, HasSubstr("has no entry point rankexec_register_components"));
}

TEST(StockWorker, APluginThatDoesNotExistIsNamed) {
    EXPECT_THAT(failure_with({"--plugin", "/no/such/plugin.so"}), HasSubstr("/no/such/plugin.so"));
}

TEST(StockWorker, WithoutAPluginItKnowsNoTypes) {
    EXPECT_THAT(failure_with({}), HasSubstr("unknown type \"plugin_executor\""));
}

TEST(StockWorker, ArgumentsThatItDoesNotKnowAreRefused) {
    EXPECT_THAT(failure_with({"--plugins", "x"}), HasSubstr("--plugins"));
}

}  // namespace
}  // namespace rankexec
