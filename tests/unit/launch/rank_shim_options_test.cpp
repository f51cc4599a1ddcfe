// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_shim_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rankexec::worker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ShimArguments, AreTheLauncherAndTheProgram) {
    const auto parsed = parse_shim_arguments({"--launcher", "mpirun", "--", "train", "--", "-x"}).value();
    EXPECT_EQ(parsed.launcher, "mpirun");
    EXPECT_THAT(parsed.program, ElementsAre("train", "--", "-x"));
}

TEST(ShimArguments, AreDecodedWhenTheyAreEncoded) {
    const auto parsed =
        parse_shim_arguments({"--launcher", "srun", "--encoded", "--", "=a", "=:", "=", "==b", "=%24%24 %25"}).value();
    EXPECT_THAT(parsed.program, ElementsAre("a", ":", "", "=b", "$$ %"));
    for (const auto* wrong : {"x", "=%", "=%2", "=%zz"}) {
        EXPECT_FALSE(parse_shim_arguments({"--launcher", "srun", "--encoded", "--", wrong})) << wrong;
    }
}

TEST(ShimArguments, ThatAreWrongAreNamed) {
    EXPECT_THAT(parse_shim_arguments({"--", "train"}).error(), HasSubstr("--launcher"));
    EXPECT_THAT(parse_shim_arguments({"--launcher", "mpirun", "--"}).error(), HasSubstr("no program"));
    EXPECT_THAT(parse_shim_arguments({"--launcher"}).error(), HasSubstr("unknown argument"));
    EXPECT_THAT(parse_shim_arguments({"--launch", "mpirun", "--", "x"}).error(), HasSubstr("--launch"));
}

class TakeBootstrap : public testing::Test {
protected:
    void SetUp() override {
        auto name = (std::filesystem::temp_directory_path() / "rankexec-shim-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
    }
    void TearDown() override {
        ::unsetenv("RANKEXEC_BOOTSTRAP");
        ::unsetenv("RANKEXEC_BOOTSTRAP_FILE");
        std::filesystem::remove_all(folder_);
    }
    static Bootstrap bootstrap(int world_size) {
        return {random_run_id(), 1, world_size, -1, Secret::random(), {}, "here", "/run", {}, {}};
    }
    [[nodiscard]] std::string write(const std::string& text) const {
        auto path = (folder_ / "bootstrap").string();
        std::ofstream(path) << text;
        return path;
    }
    std::filesystem::path folder_;
};

TEST_F(TakeBootstrap, PrefersTheFileAndForgetsTheVariables) {
    ::setenv("RANKEXEC_BOOTSTRAP_FILE", write(bootstrap(3).to_text()).c_str(), 1);
    ::setenv("RANKEXEC_BOOTSTRAP", bootstrap(5).to_text().c_str(), 1);
    EXPECT_EQ(take_bootstrap().value().world_size, 3);
    EXPECT_EQ(std::getenv("RANKEXEC_BOOTSTRAP"), nullptr);
    EXPECT_EQ(std::getenv("RANKEXEC_BOOTSTRAP_FILE"), nullptr);
}

TEST_F(TakeBootstrap, TakesTheVariableWhereTheFileIsNotReachable) {
    ::setenv("RANKEXEC_BOOTSTRAP_FILE", (folder_ / "none").c_str(), 1);
    ::setenv("RANKEXEC_BOOTSTRAP", bootstrap(5).to_text().c_str(), 1);
    EXPECT_EQ(take_bootstrap().value().world_size, 5);
}

TEST_F(TakeBootstrap, SaysWhatIsWrong) {
    EXPECT_THAT(take_bootstrap().error(), HasSubstr("has not passed its environment on"));
    ::setenv("RANKEXEC_BOOTSTRAP_FILE", (folder_ / "none").c_str(), 1);
    EXPECT_THAT(take_bootstrap().error(), HasSubstr("none: No such file"));
    ::setenv("RANKEXEC_BOOTSTRAP", "nonsense", 1);
    EXPECT_FALSE(take_bootstrap());
    ::setenv("RANKEXEC_BOOTSTRAP_FILE", write(std::string(100'000, 'A')).c_str(), 1);
    EXPECT_FALSE(take_bootstrap());
    ::setenv("RANKEXEC_BOOTSTRAP", bootstrap(5).for_rank(2).to_text().c_str(), 1);
    EXPECT_THAT(take_bootstrap().error(), HasSubstr("not a shim's"));
}

}  // namespace
}  // namespace rankexec::worker
