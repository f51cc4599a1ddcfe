// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/outcome_json.hpp"

#include <gtest/gtest.h>

#include <csignal>

#include "rankexec/core/model/utf8.hpp"

namespace rankexec::cli {
namespace {

TEST(OutcomeJson, OfSuccess) { EXPECT_EQ(to_json({}), R"({"exit_code":0,"failure":null,"surviving_pids":[]})"); }

TEST(OutcomeJson, HasEverythingThatTheCardHas) {
    Failure failure;
    failure.rank = 2;
    failure.host = "node1";
    failure.pid = 4711;
    failure.exit = ExitStatus{true, SIGKILL};
    failure.out_of_memory = true;
    failure.stderr_tail = {"one", "two"};
    failure.ranks = {0, 2};
    failure.task = "train";
    failure.exception = "std::runtime_error";
    failure.others = {{0, "exit code 1"}, {1, fault_of(failure)}};
    failure.stacks = {{2, {"main+0x1"}, ""}, {3, {}, "no answer"}};
    failure.log_directory = "/logs";
    EXPECT_EQ(
        to_json({137, failure, {9, 10}}),
        R"({"exit_code":137,"failure":{"code":"execution_exception",)"
        R"("message":"rank 2 on node1, pid 4711 failed: signal 9 (SIGKILL), out of memory: killed by the kernel",)"
        R"("rank":2,"host":"node1","pid":4711,"exit_code":null,"signal":"SIGKILL","signal_number":9,)"
        R"("out_of_memory":true,"task":"train","exception":"std::runtime_error","stderr":["one","two"],)"
        R"("stacks":[{"ranks":[2],"frames":["main+0x1"],"missing":null},)"
        R"({"ranks":[3],"frames":[],"missing":"no answer"}],)"
        R"("others":[{"ranks":[0],"what":"exit code 1","same":false},)"
        R"({"ranks":[1],"what":"signal 9 (SIGKILL), out of memory: killed by the kernel","same":true}],)"
        R"("ranks":[0,2],"logs":{"directory":"/logs","stdout":"/logs/rank-2.out","stderr":"/logs/rank-2.err"}},"surviving_pids":[9,10]})");
}

TEST(OutcomeJson, IsOneLineOfUtf8WhateverTheBytes) {
    Failure failure;
    failure.message = "line\nbreak \xff \x01 \"quoted\"";
    failure.stderr_tail = {std::string("\xc3(\0\x80", 4)};
    failure.host = "\xed\xa0\x80";
    const auto text = to_json({1, failure});
    EXPECT_EQ(text, replace_invalid_utf8(text));
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_NE(text.find(R"(line\nbreak)"), std::string::npos);
    EXPECT_NE(text.find(R"(\u0000)"), std::string::npos);
}

}  // namespace
}  // namespace rankexec::cli
