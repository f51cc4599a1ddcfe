// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/task_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <iterator>
#include <set>

#include <nlohmann/json.hpp>

#include "unit/cli/temporary_folder.hpp"

namespace rankexec::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Tensor tensor_of(float first) { return Tensor::copy_of<float>(std::vector<float>{first, 2}, {2}); }

class TaskFiles : public ::testing::Test {
protected:
    [[nodiscard]] std::set<std::string> names() const {
        std::set<std::string> found;
        for (const auto& entry : fs::directory_iterator(task_folder)) found.insert(entry.path().filename().string());
        return found;
    }
    [[nodiscard]] std::string content(const fs::path& path) const {
        std::ifstream stream(path);
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    [[nodiscard]] std::string refusal() const {
        const auto result = read_result(task_folder);
        EXPECT_FALSE(result);
        return result ? "" : result.error();
    }
    void result_json(const std::string& text) { folder.write("task/result.json", text); }

    cli::TemporaryFolder folder;
    fs::path task_folder = folder.path() / "task";
    Task task = [] {
        Task made;
        made.name = "train";
        made.id = "0123";
        made.round = 2;
        made.input.headers["round"] = 2;
        made.input.body = Value::Map{{"rate", 0.5}};
        made.input.tensors.emplace("w1", tensor_of(1));
        return made;
    }();
};

// ---- names of files ---------------------------------------------------------------------------

TEST_F(TaskFiles, NoTensorsNameLeadsElsewhere) {
    const std::vector<std::string> hostile{"w1",
                                           "",
                                           ".",
                                           "..",
                                           "../../etc/passwd",
                                           "/etc/passwd",
                                           "-rf",
                                           ".hidden",
                                           "a/b",
                                           "a\\b",
                                           "a%2Fb",
                                           "%",
                                           "new\nline",
                                           "~1",
                                           std::string("nul\0", 4),
                                           "\xff\xfe",
                                           "layer.0.weight",
                                           std::string(500, 'x'),
                                           std::string(500, 'x') + "y",
                                           "W1",
                                           "task.json"};
    std::set<std::string> files;
    for (std::size_t number = 0; number < hostile.size(); ++number) {
        const auto file = tensor_file_name(hostile[number], number);
        EXPECT_TRUE(files.insert(file).second) << file;
        EXPECT_EQ(file.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.%~"),
                  std::string::npos);
        EXPECT_TRUE(file.ends_with(".npy"));
        EXPECT_LE(file.size(), 200U);
        EXPECT_NE(file.front(), '.');
        EXPECT_NE(file.front(), '-');
        const auto tensor = tensor_of_file(file);
        if (hostile[number].size() > 100) {
            EXPECT_EQ(tensor, std::nullopt);
        } else {
            EXPECT_EQ(tensor, hostile[number]);
        }
    }
    EXPECT_EQ(tensor_file_name("layer.0.weight", 0), "layer.0.weight.npy");
    for (const std::string bad : {"a.txt", "%2.npy", "%zz.npy", "a%.npy"}) EXPECT_EQ(tensor_of_file(bad), std::nullopt);
}

// ---- tasks ------------------------------------------------------------------------------------

TEST_F(TaskFiles, ATaskBecomesAFolder) {
    const auto text = write_task(task_folder, task);
    ASSERT_TRUE(text) << text.error();
    EXPECT_EQ(content(task_folder / "task.json"), *text);
    const auto json = nlohmann::json::parse(*text);
    EXPECT_EQ(json["name"], "train");
    EXPECT_EQ(json["id"], "0123");
    EXPECT_EQ(json["round"], 2);
    EXPECT_TRUE(json["rounds"].is_null());
    EXPECT_EQ(json["headers"]["round"], 2);
    EXPECT_EQ(json["body"]["rate"], 0.5);
    EXPECT_EQ(json["tensors"]["w1"]["file"], "w1.npy");
    EXPECT_EQ(json["tensors"]["w1"]["dtype"], "float32");
    EXPECT_EQ(json["tensors"]["w1"]["shape"], (std::vector<int>{2}));
    EXPECT_THAT(names(), UnorderedElementsAre("task.json", "w1.npy"));
}

TEST_F(TaskFiles, TheNextTaskTakesThePlaceOfTheOneBefore) {
    ASSERT_TRUE(write_task(task_folder, task));
    folder.write("task/w9.npy", "x");
    folder.write("task/result.json", "{}");
    folder.write("task/notes.txt", "mine");
    task.input.tensors.clear();
    task.input.tensors.emplace("w2", tensor_of(3));
    const auto written = write_task(task_folder, task);
    ASSERT_TRUE(written) << written.error();
    EXPECT_THAT(names(), UnorderedElementsAre("task.json", "w2.npy", "notes.txt"));
}

TEST_F(TaskFiles, AFolderWithOtherFilesIsLeftAlone) {
    folder.write("task/data.npy", "precious");
    const auto written = write_task(task_folder, task);
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error(), HasSubstr("holds no earlier task"));
    EXPECT_THAT(names(), UnorderedElementsAre("data.npy"));
}

TEST_F(TaskFiles, AFolderThatCannotBeMadeIsAnError) {
    folder.write("task", "a file");
    EXPECT_FALSE(write_task(task_folder, task));
    EXPECT_FALSE(write_task("/proc/nowhere/task", task));
}

TEST_F(TaskFiles, LinksInTheFolderAreNotFollowed) {
    const auto target = folder.write("target", "precious");
    ASSERT_TRUE(write_task(task_folder, task));
    fs::remove(task_folder / "w1.npy");
    fs::create_symlink(target, task_folder / "w1.npy");
    ASSERT_TRUE(write_task(task_folder, task));
    EXPECT_EQ(content(target), "precious");
    EXPECT_FALSE(fs::is_symlink(task_folder / "w1.npy"));
}

// ---- results ----------------------------------------------------------------------------------

TEST_F(TaskFiles, AResultMayBeTensorsAlone) {
    ASSERT_TRUE(write_task(task_folder, task));
    const auto result = read_result(task_folder);
    ASSERT_TRUE(result) << result.error();
    Shareable expected;
    expected.tensors.emplace("w1", tensor_of(1));
    EXPECT_EQ(*result, expected);
}

TEST_F(TaskFiles, AResultHasHeadersBodyAndTensors) {
    task.input.tensors.emplace("a/b", tensor_of(7));
    ASSERT_TRUE(write_task(task_folder, task));
    result_json(R"({"headers": {"accuracy": 0.9, "samples": 10}, "body": ["done"]})");
    const auto result = read_result(task_folder);
    ASSERT_TRUE(result) << result.error();
    EXPECT_EQ(result->headers.at("accuracy"), Value(0.9));
    EXPECT_EQ(result->headers.at("samples"), Value(10));
    EXPECT_EQ(result->body, Value(Value::Array{"done"}));
    EXPECT_EQ(result->tensors, task.input.tensors);
    EXPECT_TRUE(result->ok());
}

TEST_F(TaskFiles, OnlyNamedTensorsAreTakenWhenSomeAreNamed) {
    task.input.tensors.emplace("w2", tensor_of(7));
    ASSERT_TRUE(write_task(task_folder, task));
    result_json(R"({"tensors": {"model": {"file": "w2.npy", "dtype": "float32"}, "other": "w1.npy"}})");
    auto result = read_result(task_folder);
    ASSERT_TRUE(result) << result.error();
    EXPECT_EQ(result->tensors, (Shareable::Tensors{{"model", tensor_of(7)}, {"other", tensor_of(1)}}));
    result_json(R"({"tensors": {}})");
    result = read_result(task_folder);
    ASSERT_TRUE(result) << result.error();
    EXPECT_TRUE(result->tensors.empty());
}

TEST_F(TaskFiles, AFailureIsAResult) {
    result_json(R"({"code": "bad_task_data", "message": "no data here"})");
    const auto result = read_result(task_folder);
    ASSERT_TRUE(result) << result.error();
    EXPECT_EQ(result->code, ReturnCode::bad_task_data);
    EXPECT_EQ(result->failure->message, "no data here");
    EXPECT_EQ(result->failure->code, ReturnCode::bad_task_data);
}

TEST_F(TaskFiles, WhatIsNoResultIsRefusedWithItsFile) {
    EXPECT_NE(refusal(), "");  // no folder
    fs::create_directory(task_folder);
    EXPECT_THAT(refusal(), HasSubstr("holds no result"));
    const auto said = [&](const std::string& json) {
        result_json(json);
        const auto text = refusal();
        EXPECT_THAT(text, HasSubstr("result.json"));
        return text;
    };
    EXPECT_THAT(said("{"), HasSubstr("parse error"));
    EXPECT_THAT(said("[]"), HasSubstr("no JSON object"));
    EXPECT_THAT(said(R"({"header": {}})"), HasSubstr("\"header\" is unknown"));
    EXPECT_THAT(said(R"({"headers": []})"), HasSubstr("\"headers\" is no object"));
    EXPECT_THAT(said(R"({"code": "fine"})"), HasSubstr("no outcome"));
    EXPECT_THAT(said(R"({"code": 0})"), HasSubstr("no outcome"));
    EXPECT_THAT(said(R"({"message": "odd"})"), HasSubstr("all is well"));
    EXPECT_THAT(said(R"({"code": "bad_task_data", "message": 3})"), HasSubstr("no text"));
    EXPECT_THAT(said(R"({"tensors": []})"), HasSubstr("no object"));
    for (const std::string file : {"../w1.npy", "/etc/passwd", "", ".", ".."}) {
        EXPECT_THAT(said(R"({"tensors": {"w": {"file": ")" + file + R"("}}})"),
                    HasSubstr("file's name in this folder"));
    }
    EXPECT_THAT(said(R"({"tensors": {"w": 3}})"), HasSubstr("file's name"));
}

TEST_F(TaskFiles, ATensorsFileThatIsNoneIsNamed) {
    folder.write("task/w1.npy", "no array");
    EXPECT_THAT(refusal(), HasSubstr("w1.npy: it is no .npy file"));
    result_json(R"({"tensors": {"w": {"file": "missing.npy"}}})");
    EXPECT_THAT(refusal(), HasSubstr("missing.npy: No such file"));
    result_json(R"({})");
    fs::remove(task_folder / "w1.npy");
    folder.write("task/%zz.npy", "x");
    EXPECT_THAT(refusal(), HasSubstr("\"tensors\" in result.json"));
}

TEST_F(TaskFiles, ADescriptionThatIsNoFileIsRefused) {
    fs::create_directory(task_folder);
    ASSERT_EQ(::mkfifo((task_folder / "result.json").c_str(), 0600), 0);
    EXPECT_THAT(refusal(), HasSubstr("no regular file"));
}

TEST_F(TaskFiles, TwoFilesOfOneTensorAreRefused) {
    ASSERT_TRUE(write_task(task_folder, task));
    fs::copy_file(task_folder / "w1.npy", task_folder / "%771.npy");
    EXPECT_THAT(refusal(), HasSubstr("in two files"));
}

}  // namespace
}  // namespace rankexec::agent
