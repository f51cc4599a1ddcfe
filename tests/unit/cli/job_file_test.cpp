// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/job_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "job_text.hpp"
#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

constexpr const char* kSmallest = R"([group]
ranks = 4
worker = ["digits-worker"]
executor = "trainer"
[[components]]
id = "trainer"
type = "digits_trainer"
)";

TEST(JobFile, SmallestJobHasDefaults) {
    const auto job = parse(kSmallest);
    EXPECT_EQ(job.name, "job");
    EXPECT_EQ(job.executor.group.world_size, 4);
    EXPECT_THAT(job.executor.group.program, ElementsAre("digits-worker"));
    EXPECT_EQ(job.executor.group.launcher, "local");
    EXPECT_EQ(job.executor.group.grace, 5s);
    EXPECT_FALSE(job.executor.group.orphan_grace.has_value());
    EXPECT_EQ(job.executor.ready_timeout, 60s);
    EXPECT_EQ(job.workflow.rounds, 1);
    EXPECT_EQ(job.workflow.train_task, "train");
    EXPECT_EQ(job.workflow.validate_task, "validate");
    EXPECT_EQ(job.workflow.task_deadline, 0s);
    EXPECT_TRUE(job.workflow.save_file.empty());
}

TEST(JobFile, ReadsEveryKey) {
    const auto job = parse(R"(name = "big"
[group]
ranks = 2
plugin = "libmine.so"
executor = "a"
launcher = "mpirun"
launcher_args = ["--oversubscribe"]
command_template = "{program}"
hosts = ["x", "y"]
directory = "work"
gpus_per_rank = 2
master_address = "10.0.0.1"
master_port = 1234
advertise_address = "10.0.0.2"
log_dir = "logs"
contain = "pidns"
transport = "zeromq"
shared_memory_mib = 3
heartbeat_timeout_seconds = 0.5
grace_seconds = 1.5
orphan_grace_seconds = 0
ready_timeout_seconds = 7
event_timeout_seconds = 8
end_run_timeout_seconds = 9
abort_grace_seconds = 10
environment = { B = "2", A = "1" }
[[components]]
id = "a"
type = "t"
args = { rate = 0.5, steps = 3, on = true, names = ["x"], nested = { deep = "y" } }
[[components]]
id = "b"
type = "u"
[parent]
plugin = "libparent.so"
[[parent_components]]
id = "log"
type = "logger"
[workflow]
rounds = 5
train_task = "fit"
validate_task = ""
metric = "f1"
task_deadline_seconds = 30
save = { file = "model.npz" }
)");
    EXPECT_EQ(job.name, "big");
    const auto& group = job.executor.group;
    EXPECT_EQ(job.plugin, "libmine.so");
    EXPECT_EQ(group.launcher, "mpirun");
    EXPECT_THAT(group.launcher_args, ElementsAre("--oversubscribe"));
    EXPECT_EQ(group.command_template, "{program}");
    EXPECT_THAT(group.hosts, ElementsAre("x", "y"));
    EXPECT_EQ(group.directory, "work");
    EXPECT_EQ(group.gpus_per_rank, 2);
    EXPECT_EQ(group.master_address, "10.0.0.1");
    EXPECT_EQ(group.master_port, 1234);
    EXPECT_EQ(group.advertise_address, "10.0.0.2");
    EXPECT_EQ(group.log_directory, "logs");
    EXPECT_EQ(group.containment, wire::Containment::pid_namespace);
    EXPECT_EQ(job.executor.transport, Transport::zeromq);
    EXPECT_EQ(job.executor.shared_memory_limit, std::size_t{3} << 20U);
    EXPECT_EQ(group.heartbeat_timeout, 500ms);
    EXPECT_EQ(group.grace, 1500ms);
    EXPECT_EQ(group.orphan_grace, 0ms);
    EXPECT_THAT(group.environment, ElementsAre("A=1", "B=2"));
    EXPECT_EQ(job.executor.ready_timeout, 7s);
    EXPECT_EQ(job.executor.event_timeout, 8s);
    EXPECT_EQ(job.executor.end_run_timeout, 9s);
    EXPECT_EQ(job.executor.abort_grace, 10s);
    ASSERT_EQ(job.executor.components.size(), 2U);
    EXPECT_EQ(job.executor.components[0].args, (Value::Map{{"rate", 0.5},
                                                           {"steps", 3},
                                                           {"on", true},
                                                           {"names", Value::Array{"x"}},
                                                           {"nested", Value::Map{{"deep", "y"}}}}));
    EXPECT_EQ(job.parent_plugin, "libparent.so");
    ASSERT_EQ(job.parent_components.size(), 1U);
    EXPECT_EQ(job.workflow.rounds, 5);
    EXPECT_EQ(job.workflow.train_task, "fit");
    EXPECT_EQ(job.workflow.validate_task, "");
    EXPECT_EQ(job.workflow.metric, "f1");
    EXPECT_EQ(job.workflow.task_deadline, 30s);
    EXPECT_EQ(job.workflow.save_file, "model.npz");
}

TEST(JobFile, UnknownKeyNamesLineAndNearest) {
    EXPECT_THAT(refusal("[group]\nrnaks = 4\n"),
                AllOf(StartsWith("jobs/job.toml:2:"), HasSubstr("\"rnaks\" in [group]"), HasSubstr("\"ranks\"?")));
    EXPECT_THAT(refusal("\n[gruop]\nranks = 4\n"), AllOf(StartsWith("jobs/job.toml:2:"), HasSubstr("\"group\"?")));
    EXPECT_THAT(refusal(std::string(kSmallest) + "[workflow.save]\nfil = \"x\"\n"),
                AllOf(HasSubstr(":9:"), HasSubstr("in [workflow.save]"), HasSubstr("\"file\"?")));
    EXPECT_THAT(refusal(std::string(kSmallest) + "arg = {}\n"), AllOf(HasSubstr(":8:"), HasSubstr("[[components]]")));
    EXPECT_THAT(refusal("[group]\nxyzzy_plugh = 4\n"), HasSubstr("the keys here are ranks, launcher"));
}

TEST(JobFile, WrongTypesNameLineAndType) {
    EXPECT_THAT(refusal("[group]\nranks = \"four\"\n"),
                AllOf(StartsWith("jobs/job.toml:2:"), HasSubstr("must be a whole number, but it is text")));
    EXPECT_THAT(refusal("[group]\ncontain = \"jail\"\n"), HasSubstr("must be \"auto\" or \"pidns\""));
    EXPECT_THAT(refusal("[group]\ntransport = \"tcp\"\n"), HasSubstr("must be \"auto\" or \"zeromq\""));
    EXPECT_THAT(refusal("[group]\nranks = 4.5\n"), HasSubstr("must be a whole number"));
    EXPECT_THAT(refusal("[group]\nworker = \"x\"\n"), HasSubstr("must be a list of texts"));
    EXPECT_THAT(refusal("[group]\nworker = [\"x\",\n 3]\n"), AllOf(HasSubstr(":3:"), HasSubstr("texts only")));
    EXPECT_THAT(refusal("[group]\nenvironment = { A = 1 }\n"), HasSubstr("a table of texts only"));
    EXPECT_THAT(refusal("group = 3\n"), HasSubstr("must be a table"));
    EXPECT_THAT(refusal("[group]\ngrace_seconds = \"1s\"\n"), HasSubstr("a number of seconds"));
    EXPECT_THAT(refusal("[components]\nid = \"x\"\n"), HasSubstr("written [[components]]"));
    EXPECT_THAT(refusal("[[components]]\nid = \"x\"\ntype = \"t\"\nargs = { when = 2020-01-01 }\n"),
                AllOf(HasSubstr(":4:"), HasSubstr("write a date as text")));
}

TEST(JobFile, RefusesValuesOutOfRange) {
    EXPECT_THAT(refusal("[group]\nranks = 0\n"), HasSubstr("0 ranks cannot be started"));
    EXPECT_THAT(refusal("[group]\nranks = -2\n"), HasSubstr("-2 ranks"));
    EXPECT_THAT(refusal("[group]\nranks = 65537\n"), HasSubstr("1 to 65536"));
    EXPECT_THAT(refusal("[group]\nmaster_port = 65536\n"), HasSubstr("from 0 to 65535"));
    for (const auto* value : {"-1", "nan", "inf", "1e300"}) {
        EXPECT_THAT(refusal(std::string("[group]\ngrace_seconds = ") + value + "\n"), HasSubstr("from 0 to a year"));
    }
    EXPECT_THAT(refusal(std::string(kSmallest) + "[workflow]\nrounds = 0\n"), HasSubstr("1 to"));
}

TEST(JobFile, EveryNumberHasItsRangeAndTypeAndALine) {
    struct Key {
        std::string table, name, type;
        bool zero;
    };
    const std::vector<Key> keys{{"group", "ranks", "a whole number", false},
                                {"group", "gpus_per_rank", "a whole number", true},
                                {"group", "master_port", "a whole number", true},
                                {"group", "heartbeat_timeout_seconds", "a number of seconds", true},
                                {"group", "grace_seconds", "a number of seconds", true},
                                {"group", "orphan_grace_seconds", "a number of seconds", true},
                                {"group", "ready_timeout_seconds", "a number of seconds", false},
                                {"group", "event_timeout_seconds", "a number of seconds", false},
                                {"group", "end_run_timeout_seconds", "a number of seconds", false},
                                {"group", "abort_grace_seconds", "a number of seconds", true},
                                {"workflow", "rounds", "a whole number", false},
                                {"workflow", "task_deadline_seconds", "a number of seconds", true}};
    const auto text_with = [](const Key& key, const std::string& value) {
        const std::string text = "[group]\n" + std::string(kSmallest).substr(18);  // without its ranks
        const auto line = key.name + " = " + value + "\n";
        if (key.table != "group") return "workflow." + line + text;
        const auto place = text.find("[group]\n") + 8;
        return text.substr(0, place) + line + text.substr(place);
    };
    for (const auto& key : keys) {
        for (const auto* value : {"-1", "9223372036854775807", "nan", "\"1\"", "true", "[1]"}) {
            EXPECT_THAT(refusal(text_with(key, value)),
                        AllOf(testing::ContainsRegex("^jobs/job.toml:[12]: "), HasSubstr("\"" + key.name + "\"")))
                << key.name << " = " << value;
        }
        EXPECT_THAT(refusal(text_with(key, "\"1\"")), HasSubstr("must be " + key.type)) << key.name;
        if (key.zero) {
            EXPECT_NO_THROW((void)parse(text_with(key, "0"))) << key.name;
        } else {
            EXPECT_THAT(refusal(text_with(key, "0")), HasSubstr("\"" + key.name + "\"")) << key.name;
        }
    }
    EXPECT_NO_THROW((void)parse(text_with(keys[5], "4294967")));
    EXPECT_THAT(refusal(text_with(keys[5], "4294968")), HasSubstr("from 0 to 4294967"));
}

TEST(JobFile, TheShortestTimeIsNotNone) {
    const auto job = parse("workflow.task_deadline_seconds = 0.0001\n" + std::string(kSmallest));
    EXPECT_EQ(job.workflow.task_deadline, 1ms);
}

TEST(JobFile, RefusesWhatCannotBeAnArgument) {
    EXPECT_THAT(refusal("[group]\nworker = [\"a\\u0000b\"]\n"), HasSubstr("NUL"));
    EXPECT_THAT(refusal("[group]\nworker = []\n"), HasSubstr("must name a program"));
    EXPECT_THAT(refusal("[group]\nenvironment = { \"A=B\" = \"1\" }\n"), HasSubstr("no name for a variable"));
    EXPECT_THAT(refusal("[group.environment]\nA = \"1\"\nRANK = \"7\"\n"),
                AllOf(StartsWith("jobs/job.toml:3:"), HasSubstr("RANK is set by rankexec")));
    EXPECT_THAT(refusal("[group]\nenvironment = { MASTER_PORT = \"1\" }\n"),
                AllOf(StartsWith("jobs/job.toml:2:"), HasSubstr("choose it with \"master_port\"")));
    EXPECT_THAT(refusal("[group]\nworker = [\"x\"]\nplugin = \"y\"\n"), HasSubstr("for the stock worker"));
}

TEST(JobFile, ChecksNamesThatReferToOthers) {
    EXPECT_THAT(refusal("[group]\nlauncher = \"mpiru\"\n"), AllOf(HasSubstr(":2:"), HasSubstr("\"mpirun\"?")));
    EXPECT_THAT(refusal("[group]\nexecutor = \"trainr\"\n[[components]]\nid = \"trainer\"\ntype = \"t\"\n"),
                AllOf(HasSubstr(":2:"), HasSubstr("\"trainer\"?")));
    EXPECT_THAT(refusal("[group]\n"), HasSubstr("\"executor\" in [group] is missing"));
    EXPECT_THAT(refusal(std::string(kSmallest) + "[[components]]\nid = \"trainer\"\ntype = \"t\"\n"),
                AllOf(HasSubstr(":9:"), HasSubstr("ids must be unique")));
    EXPECT_THAT(refusal("[[components]]\ntype = \"t\"\n[group]\nexecutor = \"x\"\n"), HasSubstr("\"id\""));
}

TEST(JobFile, NotTomlNamesTheLine) {
    EXPECT_THAT(refusal("[group]\nranks = = 4\n"), AllOf(StartsWith("jobs/job.toml:2:"), HasSubstr("not valid TOML")));
    EXPECT_THAT(refusal(std::string("\xff\xfe\x00", 3)), HasSubstr("not valid TOML"));
    EXPECT_THAT(refusal(std::string(100'000, '[')), HasSubstr("not valid TOML"));
}

TEST(JobFile, TheExampleIsValid) {
    const auto job = read_job(RANKEXEC_SOURCE_DIR "/examples/digits/job.toml", kLaunchers);
    EXPECT_EQ(job.name, "digits");
    EXPECT_GE(job.workflow.rounds, 2);
    EXPECT_FALSE(job.workflow.save_file.empty());
}

TEST(JobFile, UnreadableFilesAreNamed) {
    for (const auto* file : {"/nonexistent/job.toml", "/"}) {
        try {
            (void)read_job(file, kLaunchers);
            ADD_FAILURE() << file;
        } catch (const ConfigurationError& error) {
            EXPECT_THAT(error.what(), AllOf(StartsWith(file), HasSubstr("cannot be read")));
        }
    }
}

}  // namespace
}  // namespace rankexec::cli
