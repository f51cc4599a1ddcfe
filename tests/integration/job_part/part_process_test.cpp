// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <iostream>
#include <sstream>

#include "part_controller.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

const fs::path kFederated = RANKEXEC_FEDERATED;

std::string text_of(const fs::path& file) {
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

void replace_in(const fs::path& file, const std::string& what, const std::string& by) {
    auto text = text_of(file);
    const auto place = text.find(what);
    ASSERT_NE(place, std::string::npos) << file << ": " << what;
    std::ofstream(file) << text.replace(place, what.size(), by);
}

double last_figure(const PartReport& report, const std::string& name) {
    const auto found = report.figures.find(name);
    return found == report.figures.end() ? -1 : found->second.back().second;
}

/// The number after "held_out_accuracy=".
double held_out_accuracy(const std::vector<std::string>& lines) {
    constexpr std::string_view kStart = "held_out_accuracy=";
    for (const auto& line : lines) {
        if (line.starts_with(kStart)) return std::stod(line.substr(kStart.size()));
    }
    return -1;
}

TEST(J5_PartProcesses, TrainTheFederatedExample) {
    PartController controller(kFederated, {"site-a", "site-b"});
    PartProcess workflow(controller.setup("controller"));
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    EXPECT_EQ(workflow.wait(), 0);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(second.wait(), 0);

    const auto report = controller.report("controller");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->outcome, PartOutcome::success) << report->detail;
    if (HasFailure() || report->outcome != PartOutcome::success) {
        std::cerr << text_of(controller.workspace("controller") / "log.txt");
    }
    const double together = held_out_accuracy(controller.lines());
    EXPECT_GE(together, 0.95);
    EXPECT_GT(together, last_figure(*report, "accuracy.site-a.alone"));
    EXPECT_GT(together, last_figure(*report, "accuracy.site-b.alone"));
    EXPECT_GT(last_figure(*report, "accuracy.site-a.alone"), 0);
    EXPECT_THAT(controller.lines(), Contains(StartsWith("round 1/8  site-a  trained on ")));
    EXPECT_EQ(controller.report("site-b")->outcome, PartOutcome::success);

    EXPECT_THAT(text_of(controller.workspace("controller") / kReportFile), HasSubstr(R"("outcome":"success")"));
    EXPECT_THAT(text_of(controller.results() / "summary.txt"), HasSubstr("accuracy.site-b.alone"));
    EXPECT_THAT(text_of(controller.results() / "accuracy.svg"), HasSubstr("accuracy.site-a"));
    EXPECT_TRUE(fs::exists(controller.results() / "model.npz"));
}

TEST(J7_PartProcesses, SitesLiveThroughTheDeathOfTheControllerPart) {
    PartController controller(kFederated, {"site-a", "site-b"});
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    {
        PartProcess workflow(controller.setup("controller"));
        controller.wait_line("round 2/8  accuracy");
        workflow.signal(SIGKILL);
        EXPECT_EQ(workflow.wait(), -SIGKILL);
    }
    PartProcess again(controller.setup("controller", 2));
    EXPECT_EQ(again.wait(), 0);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(second.wait(), 0);
    EXPECT_THAT(controller.lines(), Contains(StartsWith("goes on after round ")));
    EXPECT_GE(held_out_accuracy(controller.lines()), 0.95);
    // Nothing was done again: training and validation of 8 rounds, 8 rounds alone, two validations of these.
    EXPECT_EQ(controller.report("site-a")->tasks, 8 * 2 + 8 + 2);
    EXPECT_EQ(controller.report("site-b")->tasks, 8 * 2 + 8 + 2);
}

/// Of the first rank that the part's log names.
pid_t pid_of_rank(const fs::path& log) {
    const auto text = text_of(log);
    const auto place = text.find("pid ");
    return place == std::string::npos ? -1 : std::stoi(text.substr(place + 4));
}

TEST(J5_PartProcesses, RanksThatEndedAreStartedAgainForTheNextTask) {
    PartController controller(kFederated, {"site-a", "site-b"});
    auto setup = controller.setup("controller");
    setup.min_sites = 1;
    PartProcess workflow(setup);
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    controller.wait_line("round 1/8  accuracy");
    const auto log = controller.workspace("site-b") / "log.txt";
    const auto rank = pid_of_rank(log);
    ASSERT_GT(rank, 0);
    ASSERT_EQ(::kill(rank, SIGKILL), 0);
    EXPECT_EQ(workflow.wait(), 0);
    EXPECT_EQ(second.wait(), 0);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_THAT(text_of(log), HasSubstr("starting again what has ended"));
    EXPECT_THAT(controller.lines(), Contains(StartsWith("round 8/8  site-b  trained on")));
}

TEST(J6_PartProcesses, AbortEndsThemAsAborted) {
    PartController controller(kFederated, {"site-a", "site-b"});
    PartProcess workflow(controller.setup("controller"));
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    controller.wait_line("round 1/8");
    ASSERT_TRUE(controller.ask("controller", topic::kAbortRun, {{"reason", "aborted by alice"}}));
    EXPECT_EQ(workflow.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_EQ(first.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_EQ(second.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_THAT(controller.report("controller")->failure, HasSubstr("alice"));
}

TEST(J6_PartProcesses, TerminateSignalEndsAPartAsAborted) {
    PartController controller(kFederated, {"site-a", "site-b"});
    PartProcess workflow(controller.setup("controller"));
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    controller.wait_line("round 1/8");
    first.signal(SIGTERM);
    EXPECT_EQ(first.wait(), exit_code_of(PartOutcome::aborted));
    // Of two sites two are needed. The workflow may have ended already, because a task was aborted there.
    (void)controller.ask("controller", topic::kSiteLost, {{"site", "site-a"}, {"why", "ended"}, {"final", true}});
    EXPECT_EQ(workflow.wait(), exit_code_of(PartOutcome::exception));
    EXPECT_EQ(second.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_THAT(controller.report("controller")->failure, HasSubstr("site-a"));
}

TEST(J11_PartProcesses, ConfigurationErrorsHaveAnExitCodeOfTheirOwn) {
    PartController controller(kFederated, {"site-a"});
    const auto setup = controller.setup("site-a");
    replace_in(fs::path(setup.workspace) / "site-a/part.toml", "ranks = 2", "ranks = 0");
    PartProcess part(setup);
    EXPECT_EQ(part.wait(), exit_code_of(PartOutcome::configuration_error));
    EXPECT_THAT(controller.report("site-a")->failure, HasSubstr("part.toml:"));

    const auto workflow_setup = controller.setup("controller");
    replace_in(fs::path(workflow_setup.workspace) / "job.toml", "\"fed_avg\"", "\"fed_agv\"");
    PartProcess workflow(workflow_setup);
    EXPECT_EQ(workflow.wait(), exit_code_of(PartOutcome::configuration_error));
    EXPECT_THAT(controller.report("controller")->failure, HasSubstr("fed_avg"));

    PartProcess confused("job = 7");
    EXPECT_EQ(confused.wait(), exit_code_of(PartOutcome::configuration_error));
}

TEST(J11_PartProcesses, CodeOfABundleIsRefusedWhereTheSiteSaysSo) {
    PartController controller(kFederated, {"site-a"});
    auto setup = controller.setup("site-a");
    setup.bundle_code = false;
    fs::copy_file("/bin/true", fs::path(setup.workspace) / "site-a/digits_worker");
    PartProcess part(setup);
    EXPECT_EQ(part.wait(), exit_code_of(PartOutcome::unsafe_component));
    EXPECT_THAT(controller.report("site-a")->failure, HasSubstr("no code that comes with a job's bundle"));
}

TEST(J11_PartProcesses, LibrariesFromElsewhereAreRefused) {
    PartController controller(kFederated, {"site-a"});
    const auto setup = controller.setup("site-a");
    const auto outside = controller.workspace("elsewhere.so");
    std::ofstream(outside) << "no library";
    replace_in(fs::path(setup.workspace) / "site-a/part.toml", "libdigits_parent.so", outside.string());
    PartProcess part(setup);
    EXPECT_EQ(part.wait(), exit_code_of(PartOutcome::unsafe_component));
}

TEST(J11_PartProcesses, LaunchersOwnFailureHasAnExitCodeOfItsOwn) {
    PartController controller(kFederated, {"site-a"});
    const auto setup = controller.setup("site-a");
    replace_in(fs::path(setup.workspace) / "site-a/part.toml", "ranks = 2",
               "ranks = 2\nlauncher = \"command\"\ncommand_template = \"/bin/false\"");
    PartProcess part(setup);
    EXPECT_EQ(part.wait(), exit_code_of(PartOutcome::launch_failed));
}

TEST(J11_PartProcesses, WorkflowThatFailsIsAnException) {
    PartController controller(kFederated, {"site-a", "site-b"});
    const auto setup = controller.setup("controller");
    replace_in(fs::path(setup.workspace) / "job.toml", "weight = \"samples\"", "weight = \"pounds\"");
    PartProcess workflow(setup);
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    EXPECT_EQ(workflow.wait(), exit_code_of(PartOutcome::exception));
    EXPECT_EQ(first.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_EQ(second.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_THAT(controller.report("controller")->failure, HasSubstr("pounds"));
}

/// The setup of a controller part whose workflow is the plugin's, and ends like that.
PartSetup with_plugin(PartController& controller, const std::string& end) {
    auto setup = controller.setup("controller");
    const fs::path workspace = setup.workspace;
    fs::copy_file(RANKEXEC_WORKFLOW_PLUGIN, workspace / "libtour.so");
    std::ofstream(workspace / "job.toml") << "name = \"tour\"\n"
                                             "[[parts]]\nfolder = \"site-a\"\nsites = [\"@ALL\"]\n"
                                             "[controller]\nplugin = \"libtour.so\"\n"
                                             "[workflow]\ntype = \"tour\"\n"
                                             "[workflow.args]\nend = \""
                                          << end << "\"\n";
    return setup;
}

TEST(J5_PartProcesses, WorkflowOfAPlugin) {
    PartController controller(kFederated, {"site-a", "site-b"});
    PartProcess workflow(with_plugin(controller, ""));
    PartProcess first(controller.setup("site-a"));
    PartProcess second(controller.setup("site-b"));
    EXPECT_EQ(workflow.wait(), 0);
    EXPECT_EQ(first.wait(), 0);
    EXPECT_EQ(second.wait(), 0);
    EXPECT_THAT(controller.lines(), Contains("toured 2 sites"));
    EXPECT_EQ(last_figure(*controller.report("controller"), "tensors"), 4);
}

TEST(J11_PartProcesses, WorkflowThatThrowsIsAnException) {
    PartController controller(kFederated, {"site-a"});
    PartProcess workflow(with_plugin(controller, "throw"));
    PartProcess site(controller.setup("site-a"));
    EXPECT_EQ(workflow.wait(), exit_code_of(PartOutcome::exception));
    EXPECT_EQ(site.wait(), exit_code_of(PartOutcome::aborted));
    EXPECT_THAT(controller.report("controller")->failure, HasSubstr("the tour is off"));
}

TEST(J11_PartProcesses, ComponentThatCallsExitIsNotTakenForAReport) {
    PartController controller(kFederated, {"site-a"});
    PartProcess workflow(with_plugin(controller, "exit"));
    PartProcess site(controller.setup("site-a"));
    const int code = workflow.wait();
    EXPECT_EQ(code, 1);
    EXPECT_FALSE(part_outcome_from(code));
    EXPECT_FALSE(controller.report("controller"));
}

TEST(J11_PartProcesses, PluginOfABundleIsRefusedWhereTheControllerSaysSo) {
    PartController controller(kFederated, {"site-a"});
    auto setup = with_plugin(controller, "");
    setup.bundle_code = false;
    PartProcess workflow(setup);
    EXPECT_EQ(workflow.wait(), exit_code_of(PartOutcome::unsafe_component));
}

TEST(J7_PartProcesses, SiteWhoseControllerIsGoneEnds) {
    PartController controller(kFederated, {"site-a"});
    auto setup = controller.setup("site-a");
    setup.controller_gone_after = std::chrono::milliseconds(200);
    setup.endpoint = "tcp://127.0.0.1:1";  // nobody is there
    PartProcess site(setup);
    EXPECT_EQ(site.wait(), exit_code_of(PartOutcome::controller_gone));
}

}  // namespace
}  // namespace rankexec::job
