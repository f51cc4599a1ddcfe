// SPDX-License-Identifier: Apache-2.0
// J9: what a site has.
#include "rankexec/core/job/resources/site_resources.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/system/run_command.hpp"

namespace rankexec::job::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(J9_SiteResources, GpusByConfiguration) {
    EXPECT_THAT(parse_gpus("0:80000,1:80000"), ElementsAre(GpuState{"0", 80'000, true}, GpuState{"1", 80'000, true}));
    EXPECT_THAT(parse_gpus(" GPU-5b1c-2 : 40960 "), ElementsAre(GpuState{"GPU-5b1c-2", 40'960, true}));
    EXPECT_THAT(parse_gpus(""), IsEmpty());
    EXPECT_THAT(parse_gpus("none"), IsEmpty());
}

TEST(J9_SiteResources, AMistakeInThatConfigurationIsNamed) {
    for (const auto* wrong :
         {"0", "0:", ":80000", "0:much", "0:-1", "0:1,", "0:1,0:2", "a b:1", "$(reboot):1", "0:99999999999999999999"}) {
        EXPECT_THROW((void)parse_gpus(wrong), ConfigurationError) << wrong;
    }
    try {
        (void)parse_gpus("0:80000,x=3");
        FAIL();
    } catch (const ConfigurationError& error) {
        EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("\"x=3\""), HasSubstr("0:80000,1:80000")));
    }
}

constexpr const char* kListed =
    "0, GPU-aaaa1111-2222, 81559\n1, GPU-bbbb1111-2222, 81559\n2, GPU-cccc1111-2222, [N/A]\nno device\n\n";

TEST(J9_SiteResources, GpusAsNvidiaSmiListsThem) {
    EXPECT_THAT(gpus_from_nvidia_smi(kListed, std::nullopt),
                ElementsAre(GpuState{"GPU-aaaa1111-2222", 81'559, true}, GpuState{"GPU-bbbb1111-2222", 81'559, true}));
    EXPECT_THAT(gpus_from_nvidia_smi("NVIDIA-SMI has failed", std::nullopt), IsEmpty());
}

TEST(J9_SiteResources, OnlyVisibleGpusAreTheSites) {
    const auto ids = [](const std::string& visible) {
        std::vector<std::string> found;
        for (const auto& gpu : gpus_from_nvidia_smi(kListed, visible)) found.push_back(gpu.id.substr(0, 8));
        return found;
    };
    EXPECT_THAT(ids("1"), ElementsAre("GPU-bbbb"));
    EXPECT_THAT(ids("1,GPU-aaaa,1"), ElementsAre("GPU-bbbb", "GPU-aaaa"));
    EXPECT_THAT(ids("0,7,1"), ElementsAre("GPU-aaaa"));
    EXPECT_THAT(ids(""), IsEmpty());
}

TEST(J9_SiteResources, WhatIsNotConfiguredIsTheMachines) {
    ResourceOptions options;
    options.gpus = "none";
    const auto found = site_resources(options);
    EXPECT_GE(found.cores, 1);
    EXPECT_EQ(found.free_cores, found.cores);
    EXPECT_GT(found.memory_mib, 0);
    EXPECT_EQ(found.free_memory_mib, found.memory_mib);
    options.cores = 3;
    options.memory_mib = 77;
    EXPECT_EQ(site_resources(options).free_cores, 3);
    EXPECT_EQ(site_resources(options).free_memory_mib, 77);
    options.cores = -1;
    EXPECT_THROW((void)site_resources(options), ConfigurationError);
}

Command shell(const std::string& script) {
    Command command;
    command.argv = {"sh", "-c", script};
    return command;
}

TEST(J9_RunCommand, GivesItsInputAndTakesItsOutput) {
    auto command = shell("cat; pwd; echo $NAME >&2; exit 3");
    command.input = std::string(300'000, 'x') + "\n";
    command.environment = {{"NAME=value", "PATH=/usr/bin:/bin"}};
    command.directory = "/";
    const auto result = run_command(command);
    ASSERT_TRUE(result) << result.error().describe();
    EXPECT_EQ(result->output, command.input + "/\n");
    EXPECT_EQ(result->errors, "value\n");
    EXPECT_EQ(result->exit, (ExitStatus{false, 3}));
    EXPECT_EQ(run_command(shell("kill -9 $$"))->exit, (ExitStatus{true, 9}));
}

TEST(J9_RunCommand, OneThatIsMissingAndOneThatHangsAreErrors) {
    Command missing;
    missing.argv = {"no-such-command-anywhere"};
    auto result = run_command(missing);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ReturnCode::launch_error);
    EXPECT_THAT(result.error().message, HasSubstr("no-such-command-anywhere"));
    auto hanging = shell("echo some; sleep 1000 & sleep 1000");
    hanging.timeout = std::chrono::milliseconds(100);
    result = run_command(hanging);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ReturnCode::execution_exception);
    EXPECT_THAT(result.error().message, HasSubstr("100 ms"));
}

TEST(J9_RunCommand, MuchOutputIsCutAndDoesNotBlockIt) {
    const auto result = run_command(shell("head -c 9000000 /dev/zero; head -c 9000000 /dev/zero >&2"));
    ASSERT_TRUE(result);
    EXPECT_EQ(result->output.size(), std::size_t{4} << 20U);
    EXPECT_EQ(result->errors.size(), std::size_t{4} << 20U);
    EXPECT_TRUE(result->exit.success());
}

TEST(J9_RunCommand, FromManyThreadsAtOnce) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([i] {
            const auto result = run_command(shell("echo " + std::to_string(i)));
            ASSERT_TRUE(result);
            EXPECT_EQ(result->output, std::to_string(i) + "\n");
        });
    }
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace rankexec::job::test
