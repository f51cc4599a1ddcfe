// SPDX-License-Identifier: Apache-2.0
// What a store on a disk does beside the contract: it outlives its process.
#include "rankexec/core/job/store/sqlite_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "forms.hpp"

namespace rankexec::job {
namespace {

using enum JobStatus;
using std::chrono::milliseconds;
using testing::HasSubstr;
using Kind = StoreError::Kind;

std::string refusal(const std::filesystem::path& directory) {
    const auto opened = open_sqlite_store({directory});
    if (opened) return "nothing refused";
    EXPECT_EQ(opened.error().kind, Kind::unusable);
    return opened.error().message;
}

void execute(const std::filesystem::path& database, const char* sql) {
    sqlite3* handle = nullptr;
    ASSERT_EQ(sqlite3_open(database.c_str(), &handle), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(handle, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(handle);
    sqlite3_close(handle);
}

TEST(J10_SqliteStore, KeepsEverythingOverARestart) {
    StoreOfOneTest store(Form::sqlite);
    const auto full = store->create({"full", "digits", "ana", "t-1", "abc"}, store.file("the bundle")).value();
    ASSERT_TRUE(store->add_attempt("full", {store.time(), "needs 2 GPUs at b, 1 free"}));
    ASSERT_TRUE(store->add_attempt("full", {store.time(), "dispatched to a, b"}));
    StatusChange dispatch{{submitted}, dispatched, "deployed", {{{"a", true, ""}, {"b", false, "gone"}}}, {{"a", "b"}}};
    ASSERT_TRUE(store->change_status("full", dispatch));
    ASSERT_TRUE(store->change_status("full", {{dispatched}, running, "runs", {}, {}}));
    EXPECT_EQ(store->next_incarnation("full"), 1);
    ASSERT_TRUE(store->add_event("full", {store.time(), "started", "at a, b"}));
    ASSERT_TRUE(store->save_snapshot("full", Bytes(9, std::byte{9})));
    const auto over = store.job_at(aborted);
    ASSERT_TRUE(store->save_workspace(over.id, store.file("results")));
    ASSERT_TRUE(store->remove(store.job().id));
    const auto before = store->list().value();

    for (int restart = 0; restart < 2; ++restart) {
        store.reopen();
        EXPECT_EQ(store->list().value(), before);
        EXPECT_EQ(store->get("full").value(), before.front());
        EXPECT_EQ(store->get(over.id).value(), over);
        EXPECT_EQ(store->events("full").value(), (std::vector<JobEvent>{{store.time(), "started", "at a, b"}}));
        EXPECT_EQ(store->snapshot("full").value(), Bytes(9, std::byte{9}));
        EXPECT_EQ(content_of(store->bundle("full").value()), "the bundle");
        EXPECT_EQ(content_of(store->workspace(over.id).value()), "results");
        EXPECT_EQ(store.files(), 4U);
    }
    EXPECT_EQ(store->create({"", "digits", "ana", "t-1", ""}, store.file())->id, "full");
    EXPECT_EQ(store->next_incarnation("full"), 2);
    ASSERT_TRUE(store->change_status("full", {{running}, completed, "", {}, {}}));
    store.job("later");
    store.reopen();
    EXPECT_EQ(store->list()->back().name, "later") << "after those of before the restart";
    EXPECT_EQ(store->get("full")->status, completed);
}

TEST(J10_SqliteStore, ADirectoryBelongsToOneProcessAtATime) {
    StoreOfOneTest store(Form::sqlite);
    EXPECT_THAT(refusal(store.directory()), HasSubstr("open in another process"));
    store.store.reset();
    EXPECT_EQ(refusal(store.directory()), "nothing refused");
}

TEST(J10_SqliteStore, FilesThatBelongToNoJobAreSwept) {
    StoreOfOneTest store(Form::sqlite);
    const auto id = store.job().id;
    const auto over = store.job_at(completed).id;
    store.store.reset();
    const auto leave = [&](const std::string& path) { store.folder.write("store/" + path, "left over"); };
    leave("bundles/none.tar.gz");
    leave("bundles/" + id + ".tar");  // not as the store writes it
    leave("workspaces/none.tar.gz");
    leave("snapshots/none");
    leave("snapshots/" + over);  // killed between the status and the file
    leave("staging/0123");
    store.reopen();
    EXPECT_EQ(store.files(), 2U);
    EXPECT_TRUE(store->bundle(id));
    EXPECT_TRUE(store->bundle(over));
}

TEST(J10_SqliteStore, OthersMayNotLookIntoIt) {
    StoreOfOneTest store(Form::sqlite);
    EXPECT_EQ(std::filesystem::status(store.directory()).permissions(), std::filesystem::perms::owner_all);
}

TEST(J10_SqliteStore, ADatabaseThatItDoesNotKnowIsLeftAlone) {
    const auto with = [](const char* sql) {
        StoreOfOneTest store(Form::sqlite);
        store.store.reset();
        execute(store.directory() / "jobs.sqlite3", sql);
        return refusal(store.directory());
    };
    EXPECT_THAT(with("PRAGMA user_version = 2"), HasSubstr("use the newer program"));
    EXPECT_THAT(with("PRAGMA application_id = 7"), HasSubstr("not one of jobs"));
}

TEST(J10_SqliteStore, ADamagedDatabaseIsRefused) {
    StoreOfOneTest store(Form::sqlite);
    for (int job = 0; job < 50; ++job) store.job();
    store.store.reset();
    const auto file = store.directory() / "jobs.sqlite3";
    auto content = content_of(file);
    ASSERT_GT(content.size(), 8'192U);
    content.replace(4'096, 3'000, std::string(3'000, '\x5A'));
    store.folder.write("store/jobs.sqlite3", content);
    EXPECT_NE(refusal(store.directory()), "nothing refused");
    store.folder.write("store/jobs.sqlite3", std::string(8'192, 'x'));
    EXPECT_THAT(refusal(store.directory()), HasSubstr("not a database"));
    EXPECT_EQ(store.files(), 50U) << "nothing was swept for want of jobs";
}

TEST(J10_SqliteStore, APlaceWhereNoStoreCanBeIsNamed) {
    cli::TemporaryFolder folder;
    const auto file = folder.write("file", "");
    EXPECT_THAT(refusal(file / "store"), HasSubstr(file.string()));
}

}  // namespace
}  // namespace rankexec::job
