// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using Words = std::vector<std::string>;

/// A PATH of one directory that holds exactly the programs that a test wants to be installed.
class Launchers : public testing::Test {
protected:
    void SetUp() override {
        auto name = (std::filesystem::temp_directory_path() / "rankexec-launch-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        bin_ = name;
        request_.world_size = 4;
        request_.program = {"train", "--rate", "0.1 0.2"};
        request_.environment = {"PATH=" + bin_.string(), "HOME=/home/user"};
        request_.shim = "/opt/rankexec-rank";
    }
    void TearDown() override { std::filesystem::remove_all(bin_); }

    std::string install(const std::string& name) const {
        const auto path = bin_ / name;
        std::ofstream(path) << "#!/bin/sh\n";
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        return path.string();
    }
    tl::expected<LaunchPlan, Failure> plan(std::string_view launcher) const {
        return make_launcher(launcher)->plan(request_);
    }
    Words argv(std::string_view launcher) const {
        auto result = plan(launcher);
        EXPECT_TRUE(result) << result.error().message;
        return result ? result->program.argv : Words{};
    }
    Failure failure(std::string_view launcher) const {
        auto result = plan(launcher);
        EXPECT_FALSE(result);
        return result ? Failure{} : result.error();
    }
    static Words shim(const std::string& launcher) {
        return {"/opt/rankexec-rank", "--launcher", launcher, "--", "train", "--rate", "0.1 0.2"};
    }
    static bool ends_with(const Words& words, const Words& end) {
        return words.size() >= end.size() && std::equal(end.rbegin(), end.rend(), words.rbegin());
    }
    /// The word after `option`.
    static std::string after(const Words& words, const std::string& option) {
        const auto found = std::ranges::find(words, option);
        return found == words.end() || found + 1 == words.end() ? "" : *(found + 1);
    }

    std::filesystem::path bin_;
    LaunchRequest request_;
};

TEST_F(Launchers, AreKnownByName) {
    EXPECT_THAT(launcher_names(), ElementsAre("local", "mpirun", "hydra", "torchrun", "srun", "command"));
    for (const auto& name : launcher_names()) EXPECT_EQ(make_launcher(name)->name(), name);
}

TEST_F(Launchers, AnUnknownNameIsAConfigurationErrorThatNamesTheNearest) {
    try {
        (void)make_launcher("mpirum");
        FAIL();
    } catch (const ConfigurationError& error) {
        EXPECT_EQ(error.kind(), ConfigurationError::Kind::launcher_unknown);
        EXPECT_THAT(error.what(), HasSubstr("did you mean \"mpirun\""));
        EXPECT_THAT(error.what(), HasSubstr("torchrun"));
    }
}

TEST_F(Launchers, LocalStartsTheProgramItself) {
    request_.directory = "/srv/here";
    const auto result = plan("local");
    ASSERT_TRUE(result);
    EXPECT_TRUE(result->direct);
    EXPECT_FALSE(result->may_be_remote);
    EXPECT_EQ(result->program.argv, request_.program);
    EXPECT_EQ(result->program.environment, request_.environment);
    EXPECT_EQ(result->program.directory, "/srv/here");
}

TEST_F(Launchers, LocalRefusesHostsAndLauncherArguments) {
    request_.hosts = {"other"};
    EXPECT_THAT(failure("local").message, HasSubstr("this host only"));
    request_.hosts.clear();
    request_.extra_args = {"--verbose"};
    EXPECT_THAT(failure("local").message, HasSubstr("--verbose"));
}

TEST_F(Launchers, OpenMpiStartsOneShimPerRank) {
    const auto mpirun = install("mpirun.openmpi");
    request_.exported = {"TOKEN", "OTHER"};
    request_.environment.emplace_back("TOKEN=secret");
    request_.hosts = {"a:2", "b:2"};
    request_.directory = "/srv/here";
    request_.scratch_directory = "/tmp/run";
    request_.extra_args = {"--mca", "btl", "tcp,self"};
    const auto result = plan("mpirun");
    ASSERT_TRUE(result);
    const auto& words = result->program.argv;
    EXPECT_FALSE(result->direct);
    EXPECT_TRUE(result->may_be_remote);
    EXPECT_EQ(words.front(), mpirun);
    EXPECT_TRUE(ends_with(words, shim("mpirun")));
    EXPECT_EQ(std::ranges::count(words, "--allow-run-as-root"), ::geteuid() == 0 ? 1 : 0);
    EXPECT_EQ(after(words, "-n"), "4");
    EXPECT_EQ(after(words, "--bind-to"), "none");
    EXPECT_EQ(after(words, "--stdin"), "none");
    EXPECT_EQ(after(words, "--host"), "a:2,b:2");
    EXPECT_EQ(after(words, "--wdir"), "/srv/here");
    EXPECT_THAT(words, Not(Contains("orte_tmpdir_base")));  // other hosts do not have the folder
    EXPECT_THAT(words, IsSupersetOf({"--oversubscribe", "btl", "tcp,self"}));
    EXPECT_EQ(std::ranges::count(words, "-x"), 2);
    EXPECT_EQ(result->program.environment, request_.environment);
}

TEST_F(Launchers, OpenMpiOnThisHostKeepsItsFilesInTheRunsFolder) {
    install("mpirun.openmpi");
    request_.scratch_directory = "/tmp/run";
    EXPECT_EQ(after(argv("mpirun"), "orte_tmpdir_base"), "/tmp/run");
}

TEST_F(Launchers, NoLauncherPutsAValueOfTheEnvironmentOnItsCommandLine) {
    for (const auto* name : {"mpirun.openmpi", "mpiexec.hydra", "torchrun", "srun", "scancel", "mine"}) install(name);
    request_.exported = {"TOKEN"};
    request_.environment.emplace_back("TOKEN=s3cret");
    request_.command_template = "mine {n} {rank_program}";
    for (const auto& name : launcher_names()) {
        EXPECT_THAT(argv(name), Not(Contains(HasSubstr("s3cret")))) << name;
    }
}

TEST_F(Launchers, OpenMpiTakesMpirunUnlessItIsAnotherMpis) {
    const auto hydra = install("mpiexec.hydra");
    std::filesystem::create_symlink(hydra, bin_ / "mpirun");
    EXPECT_THAT(failure("mpirun").message, HasSubstr("openmpi-bin"));
    std::filesystem::remove(bin_ / "mpirun");
    const auto orterun = install("orterun");
    std::filesystem::create_symlink(orterun, bin_ / "mpirun");
    EXPECT_EQ(argv("mpirun").front(), (bin_ / "mpirun").string());
}

TEST_F(Launchers, HydraPassesNamesOfVariables) {
    const auto mpiexec = install("mpiexec.hydra");
    request_.exported = {"TOKEN", "OTHER"};
    request_.hosts = {"a", "b"};
    request_.directory = "/srv/here";
    const auto words = argv("hydra");
    EXPECT_EQ(words.front(), mpiexec);
    EXPECT_EQ(after(words, "-n"), "4");
    EXPECT_EQ(after(words, "-genvlist"), "TOKEN,OTHER");
    EXPECT_EQ(after(words, "-hosts"), "a,b");
    EXPECT_EQ(after(words, "-wdir"), "/srv/here");
    EXPECT_TRUE(ends_with(words, shim("hydra")));
}

TEST_F(Launchers, TorchrunKeepsItsFilesAndItsPortToItself) {
    const auto torchrun = install("torchrun");
    request_.scratch_directory = "/tmp/run";
    request_.extra_args = {"--monitor_interval", "1"};
    const auto result = plan("torchrun");
    ASSERT_TRUE(result);
    const auto& words = result->program.argv;
    EXPECT_EQ(words.front(), torchrun);
    EXPECT_EQ(after(words, "--nproc_per_node"), "4");
    EXPECT_EQ(after(words, "-r"), "1");
    EXPECT_EQ(after(words, "-t"), "1");
    EXPECT_EQ(after(words, "--log_dir"), "/tmp/run");
    EXPECT_EQ(after(words, "--rdzv_endpoint"), "127.0.0.1:0");
    EXPECT_EQ(after(words, "--monitor_interval"), "1");
    EXPECT_THAT(words, Contains("--no_python"));
    EXPECT_TRUE(ends_with(words, shim("torchrun")));
    EXPECT_THAT(result->program.environment, Contains("OMP_NUM_THREADS=1"));
    request_.hosts = {"a"};
    EXPECT_THAT(failure("torchrun").message, HasSubstr("this host only"));
}

TEST_F(Launchers, TorchrunLeavesTheUsersThreadCountAlone) {
    install("torchrun");
    request_.environment.emplace_back("OMP_NUM_THREADS=3");
    const auto result = plan("torchrun");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->program.environment, request_.environment);
}

TEST_F(Launchers, SrunAsksForTasksThatCanBeEnded) {
    const auto srun = install("srun");
    install("scancel");
    request_.directory = "/srv/here";
    request_.extra_args = {"--partition=test"};
    const auto words = argv("srun");
    EXPECT_EQ(words.front(), srun);
    EXPECT_THAT(words, IsSupersetOf({"--ntasks=4", "--kill-on-bad-exit=1", "--overcommit", "--export=ALL", "--wait=0",
                                     "--overlap", "--chdir=/srv/here", "--partition=test"}));
    EXPECT_THAT(words, Not(Contains(HasSubstr("--nodes"))));
    EXPECT_TRUE(ends_with(words, shim("srun")));
}

TEST_F(Launchers, SrunUsesEveryHostThatIsNamed) {
    install("srun");
    install("scancel");
    request_.hosts = {"n1", "n2"};
    EXPECT_THAT(argv("srun"), IsSupersetOf({"--nodelist=n1,n2", "--nodes=2"}));
    request_.hosts = {"n[1-2]"};
    EXPECT_THAT(argv("srun"), Contains("--nodelist=n[1-2]"));
    EXPECT_THAT(argv("srun"), Not(Contains(HasSubstr("--nodes"))));
    request_.hosts = {"a", "b", "c", "d", "e"};
    EXPECT_THAT(failure("srun").message, HasSubstr("5 hosts are more than 4 ranks"));
}

TEST_F(Launchers, CommandExpandsItsTemplate) {
    const auto mine = install("mine");
    request_.command_template = "mine -np {n} --size={world_size} {rank_program}";
    Words expected{mine, "-np", "4", "--size=4"};
    const auto rest = shim("command");
    expected.insert(expected.end(), rest.begin(), rest.end());
    EXPECT_THAT(argv("command"), ElementsAreArray(expected));
}

TEST_F(Launchers, CommandSaysWhatIsWrongWithItsTemplate) {
    EXPECT_THAT(failure("command").message, HasSubstr("needs a command template"));
    const std::pair<const char*, const char*> wrong[] = {
        {"mine -n {n}", "lacks {rank_program}"},
        {"mine {rank_program} {rank_program}", "more than one"},
        {"mine x{rank_program}", "a word of its own"},
        {"mine 'x {rank_program}", "not closed"},
        {"mine {rank_program} > log", "needs a shell"},
        {"mine {rank_program}", "mine is not in PATH"},
        {"/no/such/file {rank_program}", "not an executable file"},
    };
    for (const auto& [text, message] : wrong) {
        request_.command_template = text;
        EXPECT_THAT(failure("command").message, HasSubstr(message)) << text;
    }
    install("mine");
    request_.command_template = "mine {rank_program}";
    request_.hosts = {"a"};
    EXPECT_THAT(failure("command").message, HasSubstr("{hosts}"));
    request_.hosts.clear();
    request_.extra_args = {"--verbose"};
    EXPECT_THAT(failure("command").message, HasSubstr("--verbose"));
}

TEST_F(Launchers, OneThatIsNotInstalledSaysWhatToInstall) {
    const std::pair<const char*, const char*> packages[] = {
        {"mpirun", "openmpi-bin"}, {"hydra", "mpich"}, {"srun", "slurm-client"}};
    for (const auto& [name, package] : packages) {
        const auto result = failure(name);
        EXPECT_EQ(result.code, ReturnCode::launch_error);
        EXPECT_THAT(result.message, HasSubstr(package));
    }
}

TEST_F(Launchers, AColonAmongTheArgumentsDoesNotSplitTheProgram) {
    install("mpirun.openmpi");
    request_.program = {"echo", "a", ":", "", "100%"};
    EXPECT_TRUE(ends_with(argv("mpirun"), {"/opt/rankexec-rank", "--launcher", "mpirun", "--encoded", "--", "=echo",
                                           "=a", "=:", "=", "=100%25"}));
}

TEST_F(Launchers, ADollarSignAmongTheArgumentsIsNotReplaced) {
    install("torchrun");
    request_.program = {"sh", "-c", "echo $$ ${local_rank} %"};
    EXPECT_TRUE(ends_with(argv("torchrun"), {"--encoded", "--", "=sh", "=-c", "=echo %24%24 %24{local_rank} %25"}));
}

TEST_F(Launchers, EndTheirGroupsByTheTable) {
    for (const auto* name : {"mpirun.openmpi", "mpiexec.hydra", "torchrun", "mine"}) install(name);
    request_.command_template = "mine {rank_program}";
    struct Row {
        const char* launcher;
        int death_signal;
        int orphan_grace_ms;
    };
    for (const auto& row : {Row{"local", SIGKILL, 300}, Row{"mpirun", SIGTERM, 2000}, Row{"hydra", SIGTERM, 2000},
                            Row{"torchrun", SIGTERM, 2000}, Row{"command", SIGTERM, 2000}}) {
        const auto result = plan(row.launcher);
        ASSERT_TRUE(result) << row.launcher;
        EXPECT_EQ(result->graceful, (wire::EndingStep{SIGTERM, {}})) << row.launcher;
        EXPECT_EQ(result->forced, (wire::EndingStep{SIGKILL, {}})) << row.launcher;
        EXPECT_EQ(result->death_signal, row.death_signal) << row.launcher;
        EXPECT_EQ(result->orphan_grace_ms, row.orphan_grace_ms) << row.launcher;
    }
}

TEST_F(Launchers, SrunEndsItsGroupThroughScancel) {
    install("srun");
    const auto scancel = install("scancel");
    const auto result = plan("srun");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->graceful, (wire::EndingStep{0, {scancel, "-s", "TERM", "{step}"}}));
    EXPECT_EQ(result->forced, (wire::EndingStep{SIGTERM, {scancel, "-s", "KILL", "{step}"}}));
    EXPECT_EQ(result->death_signal, SIGTERM);
}

}  // namespace
}  // namespace rankexec
