// SPDX-License-Identifier: Apache-2.0
// A process that is killed in the middle of an operation, at each of its system calls that change files: the store
// holds all of the operation or nothing, and no file is left over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "forms.hpp"
#include "rankexec/core/job/store/sqlite_store.hpp"
#include "traced_child.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using enum JobStatus;

const WallTime kNow(std::chrono::hours(7));

template <typename T>
void must(const Stored<T>& stored) {
    if (!stored) throw std::runtime_error(stored.error().message);
}

/// What is done to a store that has the jobs of prepare(). Deterministic.
struct Operation {
    std::string name;
    std::function<void(JobStore& store, const fs::path& files)> run;
};

void PrintTo(const Operation& operation, std::ostream* out) { *out << operation.name; }  // NOLINT: GoogleTest's

const std::vector<Operation>& operations() {
    static const std::vector<Operation> kOperations{
        {"create",
         [](JobStore& store, const fs::path& files) {
             must(store.create({"new", "j", "ana", "t", "d"}, files / "bundle"));
         }},
        {"attempt",
         [](JobStore& store, const fs::path&) {
             must(store.add_attempt("waiting", {kNow, "needs a GPU"}));
         }},
        {"reason", [](JobStore& store, const fs::path&) { must(store.set_reason("waiting", "second in line")); }},
        {"dispatch",
         [](JobStore& store, const fs::path&) {
             store
                 .change_status("waiting",
                                {{submitted}, dispatched, "to a", {{{"a", true, ""}, {"b", false, "no"}}}, {{"a"}}})
                 .value();
         }},
        {"complete",
         [](JobStore& store, const fs::path&) {
             must(store.change_status("running", {{running}, completed, "", {}, {}}));
         }},
        {"incarnation", [](JobStore& store, const fs::path&) { must(store.next_incarnation("running")); }},
        {"event",
         [](JobStore& store, const fs::path&) {
             must(store.add_event("running", {kNow, "started", "at a"}));
         }},
        {"snapshot",
         [](JobStore& store, const fs::path&) { must(store.save_snapshot("running", Bytes(200'000, std::byte{2}))); }},
        {"workspace",
         [](JobStore& store, const fs::path& files) { must(store.save_workspace("running", files / "workspace")); }},
        {"remove", [](JobStore& store, const fs::path&) { must(store.remove("over")); }},
    };
    return kOperations;
}

std::unique_ptr<JobStore> open(const fs::path& directory) {
    StoreOptions options{directory};
    options.clock = [] { return kNow; };
    auto opened = open_sqlite_store(std::move(options));
    if (!opened) throw std::runtime_error(opened.error().message);
    return std::move(*opened);
}

void prepare(const fs::path& directory, const fs::path& files) {
    const auto store = open(directory);
    for (const auto* id : {"waiting", "running", "over"})
        must(store->create({id, "j", "ana", id, ""}, files / "bundle"));
    for (const auto* id : {"running", "over"}) {
        must(store->change_status(id, {{submitted}, dispatched, "to a", {{{"a", true, ""}}}, {{"a"}}}));
        must(store->change_status(id, {{dispatched}, running, "", {}, {}}));
        must(store->add_event(id, {kNow, "started", ""}));
        must(store->save_snapshot(id, Bytes(300, std::byte{1})));
    }
    must(store->save_workspace("over", files / "bundle"));
    must(store->change_status("over", {{running}, aborted, "", {}, {}}));
    must(store->add_attempt("waiting", {kNow, "needs two GPUs"}));
}

/// Everything that the store in the directory holds, and every file there that is a job's.
std::string dump(const fs::path& directory) {
    std::string text;
    const auto store = open(directory);
    const auto records = store->list().value();
    for (const auto& record : records) {
        text += to_json(to_value(record)) + "\n";
        const auto events = store->events(record.id).value();
        for (const auto& event : events) text += to_json(to_value(event)) + "\n";
    }
    std::map<std::string, std::string> files;
    for (const auto* folder : {"bundles", "workspaces", "snapshots", "staging"}) {
        for (const auto& entry : fs::directory_iterator(directory / folder)) {
            const auto content = content_of(entry.path());
            files[std::string(folder) + "/" + entry.path().filename().string()] =
                std::to_string(content.size()) + " bytes " + content.substr(0, 10);
        }
    }
    for (const auto& [name, content] : files) text += name + ": " + content + "\n";
    return text;
}

class J10_JobStoreDeath : public testing::TestWithParam<Operation> {
protected:
    void SetUp() override {
        folder_.write("files/bundle", "bundle");
        folder_.write("files/workspace", std::string(200'000, 'w'));
        prepare(directory_, files_);
    }

    /// Runs the operation in a process of its own, on a copy of the prepared store; that copy.
    std::optional<ChildEnd> run(const fs::path& copy, std::optional<int> kill_at) const {
        fs::remove_all(copy);
        fs::copy(directory_, copy, fs::copy_options::recursive);
        std::unique_ptr<JobStore> store;
        return run_traced([&] { store = open(copy); }, [&] { GetParam().run(*store, files_); }, kill_at);
    }

    cli::TemporaryFolder folder_;
    fs::path files_ = folder_.path() / "files";
    fs::path directory_ = folder_.path() / "store";
};

TEST_P(J10_JobStoreDeath, AtAnySystemCallLeavesAllOrNothing) {
    const auto before = dump(directory_);
    const auto copy = folder_.path() / "copy";
    const auto whole = run(copy, std::nullopt);
    if (!whole) GTEST_SKIP() << "no process may trace its child here";
    ASSERT_TRUE(whole->reported && !whole->killed);
    const auto after = dump(copy);
    ASSERT_NE(after, before);
    ASSERT_GE(whole->calls, 3) << "the database, and the report";

    int with_nothing = 0;
    int with_all = 0;
    for (int call = 1; call <= whole->calls; ++call) {
        const auto end = run(copy, call);
        ASSERT_TRUE(end && end->killed) << call;
        const auto found = dump(copy);
        const bool all = found == after;
        ++(all ? with_all : with_nothing);
        if (!all) {
            EXPECT_EQ(found, before) << "killed at call " << call << " of " << whole->calls;
            EXPECT_LT(call, whole->calls) << "the operation had returned";
        }
        EXPECT_EQ(dump(copy), found) << "opening it again changes nothing";
    }
    EXPECT_GT(with_nothing, 0);
    EXPECT_GT(with_all, 0);
}

INSTANTIATE_TEST_SUITE_P(, J10_JobStoreDeath, testing::ValuesIn(operations()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rankexec::job
