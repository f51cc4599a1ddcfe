// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/job_definition.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::job {
namespace {

using testing::HasSubstr;

const std::string kWorkflow = "\n[workflow]\ntype = \"fed_avg\"\n";
const std::string kPart = "\n[[parts]]\nfolder = \"site\"\nsites = [\"@ALL\"]\n";

JobDefinition parse(const std::string& text) { return parse_definition(text, "/x/job.toml"); }

/// What the parser says about it.
std::string refusal(const std::string& text) {
    try {
        static_cast<void>(parse(text));
    } catch (const ConfigurationError& error) {
        EXPECT_EQ(error.kind(), ConfigurationError::Kind::job_file);
        EXPECT_THAT(error.what(), HasSubstr("/x/job.toml"));
        return error.what();
    }
    return "nothing refused";
}

TEST(J3_JobDefinition, EveryKeyIsRead) {
    const auto job = parse(R"(
name = "digits"
min_sites = 2
required_sites = ["a"]
[[parts]]
folder = "big/site"
sites = ["a", "b"]
gpus = 2
gpu_memory_mib = 16000
cores = 4
memory_mib = 8000
[[parts]]
folder = "other"
sites = ["@ALL"]
[controller]
plugin = "libparts.so"
[workflow]
id = "flow"
type = "fed_avg"
args = { rounds = 3 }
[[controller_components]]
id = "writer"
type = "model_writer"
)");
    EXPECT_EQ(job.name, "digits");
    EXPECT_EQ(job.min_sites, 2);
    EXPECT_EQ(job.required_sites, std::vector<std::string>{"a"});
    ASSERT_EQ(job.parts.size(), 2U);
    EXPECT_EQ(job.parts[0], (JobPart{"big/site", {"a", "b"}, {2, 16'000, 4, 8'000}}));
    EXPECT_EQ(job.parts[1], (JobPart{"other", {"@ALL"}, {}}));
    EXPECT_EQ(job.controller_plugin, "libparts.so");
    EXPECT_EQ(job.workflow, (ComponentSpec{"flow", "fed_avg", {{"rounds", 3}}}));
    ASSERT_EQ(job.components.size(), 1U);
    EXPECT_EQ(job.components[0], (ComponentSpec{"writer", "model_writer", {}}));
}

TEST(J3_JobDefinition, MostHasDefaults) {
    const auto job = parse("name = \"j\"" + kPart + kWorkflow);
    EXPECT_EQ(job.min_sites, 1);
    EXPECT_TRUE(job.required_sites.empty());
    EXPECT_TRUE(job.parts[0].need.nothing());
    EXPECT_EQ(job.workflow.id, "workflow");
    EXPECT_EQ(job.controller_plugin, "");
}

TEST(J3_JobDefinition, ASiteGetsThePartThatNamesItElseTheOneForAll) {
    JobDefinition job;
    job.parts = {{"all", {"@ALL"}, {}}, {"of a", {"a"}, {}}};
    EXPECT_EQ(job.part_of("a"), &job.parts[1]);
    EXPECT_EQ(job.part_of("b"), &job.parts[0]);
    EXPECT_TRUE(job.for_all_sites());
    job.parts.erase(job.parts.begin());
    EXPECT_EQ(job.part_of("b"), nullptr);
    EXPECT_FALSE(job.for_all_sites());
}

TEST(J3_JobDefinition, MistakesAreNamedWithWhatToWriteInstead) {
    EXPECT_THAT(refusal(""), HasSubstr("\"name\" is missing"));
    EXPECT_THAT(refusal("name = \"x\" y"), HasSubstr("/x/job.toml:1: not valid TOML"));
    EXPECT_THAT(refusal("name = \"x\"" + kWorkflow), HasSubstr("write a [[parts]]"));
    EXPECT_THAT(refusal("name = \"x\"" + kPart), HasSubstr("\"workflow\" is missing"));
    EXPECT_THAT(refusal("name = \"x\"\nmin_site = 2" + kPart + kWorkflow), HasSubstr("did you mean \"min_sites\"?"));
    EXPECT_THAT(refusal("name = \"x\"\nmin_sites = 0" + kPart + kWorkflow), HasSubstr("out of range"));
    EXPECT_THAT(refusal("name = \"x\"" + kPart + "gpu_memory_mib = 5" + kWorkflow), HasSubstr("say with gpus"));
    EXPECT_THAT(refusal("name = \"x\"" + kPart + "gpus = -1" + kWorkflow), HasSubstr("out of range"));
    EXPECT_THAT(refusal("name = \"x\"" + kPart + kPart + kWorkflow), HasSubstr("\"@ALL\" has another part"));
    EXPECT_THAT(refusal(std::string(2U << 20U, ' ')), HasSubstr("larger than 1 MiB"));
    EXPECT_THAT(
        refusal("name = \"x\"" + kPart + kWorkflow + "[[controller_components]]\nid = \"workflow\"\ntype=\"t\""),
        HasSubstr("ids must be unique"));
}

TEST(J3_JobDefinition, SitesThatCannotBeAreNamed) {
    const auto with = [](const std::string& sites, const std::string& top = {}) {
        return refusal("name = \"x\"\n" + top + "\n[[parts]]\nfolder = \"s\"\nsites = " + sites + kWorkflow);
    };
    EXPECT_THAT(with("[]"), HasSubstr("must name sites"));
    EXPECT_THAT(with("[\"a\", \"@ALL\"]"), HasSubstr("\"@ALL\" alone"));
    EXPECT_THAT(with("[\"a\", \"a\"]"), HasSubstr("\"a\" is there twice"));
    EXPECT_THAT(with("[\"../a\"]"), HasSubstr("no name of a site"));
    EXPECT_THAT(with("[\"controller\"]"), HasSubstr("[workflow]"));
    EXPECT_THAT(with("[\"a\"]", "min_sites = 2"), HasSubstr("the [[parts]] name 1"));
    EXPECT_THAT(with("[\"a\"]", "required_sites = [\"b\"]"), HasSubstr("\"b\" has no part"));
    EXPECT_THAT(with("[\"@ALL\"]", "required_sites = [\"@ALL\"]"), HasSubstr("min_sites"));
}

TEST(J10_Names, NoneLeadsOutOfAFolder) {
    for (const auto* name : {"a", "A-1", "node_7.cluster", "0123456789abcdef0123456789abcdef"}) {
        EXPECT_EQ(name_error(name), "") << name;
    }
    const std::string with_nul("a\0b", 3);
    for (const auto& name :
         {std::string(), std::string("."), std::string(".."), std::string("../x"), std::string("a/b"),
          std::string("/etc"), std::string("-rf"), std::string("_a"), std::string("a b"), std::string("a\\b"),
          std::string("a\n"), std::string("\xC3\xA4"), with_nul, std::string(64, 'a')}) {
        EXPECT_NE(name_error(name), "") << name;
        if (name.find('\0') != std::string::npos || name.find_first_of("\n\\") != std::string::npos) continue;
        EXPECT_THAT(refusal("name = \"" + name + "\"" + kPart + kWorkflow), HasSubstr("\"name\""));
    }
}

TEST(J10_Names, PartFoldersStayInTheBundle) {
    const auto with = [](const std::string& folder) {
        return refusal("name = \"x\"\n[[parts]]\nfolder = \"" + folder + "\"\nsites = [\"@ALL\"]" + kWorkflow);
    };
    for (const auto* folder : {"..", "../a", "a/../b", "/a", "a//b", "a/", ".", "./a", "a/.."}) {
        EXPECT_THAT(with(folder), HasSubstr("no folder of the bundle")) << folder;
    }
    EXPECT_EQ(with("a/b-c/d.1"), "nothing refused");
}

}  // namespace
}  // namespace rankexec::job
