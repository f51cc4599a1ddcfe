// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {
namespace {

class M3_Launch : public Group {};
INSTANTIATE_TEST_SUITE_P(, M3_Launch, kTransports, name_of);

/// /proc/PID/stat has, after the name in parentheses, state, parent, process group, session.
pid_t parent_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    std::istringstream rest(text.substr(text.rfind(')') + 1));
    char state = 0;
    pid_t parent = 0;
    rest >> state >> parent;
    return parent;
}

TEST_P(M3_Launch, OneLauncherCommandStartsAllRanksInASessionThatIsNotOurs) {
    auto options = options_for(3);
    options.group.launcher = "command";
    options.group.command_template = std::string(RANKEXEC_FORK_LAUNCHER) + " {n} {rank_program}";
    start(options);
    std::set<pid_t> launchers;
    for (const auto& rank : executor->report().ranks) {
        const auto shim = parent_of(static_cast<pid_t>(rank.pid));
        launchers.insert(parent_of(shim));
    }
    ASSERT_EQ(launchers.size(), 1U);
    EXPECT_NE(::getsid(*launchers.begin()), ::getsid(0));
    EXPECT_EQ(::getsid(*launchers.begin()), ::getsid(parent_of(*launchers.begin())));  // the guardian's
    executor->finalise();
}

TEST_P(M3_Launch, EachRankLearnsItsRankFromTheEnvironment) {
    auto options = options_for(3);
    options.group.launcher = "command";
    options.group.command_template = std::string(RANKEXEC_FORK_LAUNCHER) + " {n} {rank_program}";
    start(options);
    const auto replies = executor->execute("echo", {}, context, abort, {.all_results = true});
    ASSERT_EQ(replies.results.size(), 3U);
    for (int rank = 0; rank < 3; ++rank) {
        EXPECT_EQ(replies.results[static_cast<std::size_t>(rank)].header("rank")->integer_or(-1), rank);
    }
    executor->finalise();
}

}  // namespace
}  // namespace rankexec
