// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/meeting_place.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <vector>

#include "ends.hpp"

namespace rankexec::test {
namespace {

using exchange::AgentName;
using exchange::meeting_folder;
using exchange::Occupation;
using exchange::open_meeting_place;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class I2_MeetingPlace : public ::testing::Test {
protected:
    static std::vector<std::byte> bytes_of(const Secret& key) { return {key.bytes().begin(), key.bytes().end()}; }
    static mode_t mode_of(const std::string& path) {
        struct stat status {};
        EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
        return status.st_mode & 07777;
    }
    BaseFolder base;
    const AgentName name{"site", "agent"};
};

TEST_F(I2_MeetingPlace, FollowsFromSiteAndIdAndNothingElse) {
    EXPECT_EQ(meeting_folder(name, base.path()).value(), meeting_folder(name, base.path()).value());
    std::set<std::string> folders;
    const std::vector<AgentName> names{{"a", "b"}, {"ab", ""},   {"b", "a"},  {"a", "c"},
                                       {"c", "b"}, {"a", "b/c"}, {"a", "b c"}};
    for (const auto& one : names) {
        if (const auto folder = meeting_folder(one, base.path())) folders.insert(*folder);
    }
    EXPECT_EQ(folders.size(), names.size() - 1) << "an empty id has none, all others have different ones";
    EXPECT_LE(meeting_folder({std::string(256, 's'), std::string(256, 'i')}, "/tmp").value().size(), 80U);
}

TEST_F(I2_MeetingPlace, IsBelowTheRuntimeFolderOrInTmp) {
    const char* const former = std::getenv("XDG_RUNTIME_DIR");
    const std::string kept = former != nullptr ? former : "";
    ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    EXPECT_THAT(meeting_folder(name).value(), StartsWith("/run/user/7/rankexec/"));
    ::setenv("XDG_RUNTIME_DIR", ("/" + std::string(70, 'x')).c_str(), 1);
    const auto in_tmp = "/tmp/rankexec-" + std::to_string(::geteuid()) + "/";
    EXPECT_THAT(meeting_folder(name).value(), StartsWith(in_tmp));
    ::unsetenv("XDG_RUNTIME_DIR");
    EXPECT_THAT(meeting_folder(name).value(), StartsWith(in_tmp));
    if (former != nullptr) ::setenv("XDG_RUNTIME_DIR", kept.c_str(), 1);
}

TEST_F(I2_MeetingPlace, IsPrivateAndKeepsItsKey) {
    const auto place = open_meeting_place(name, base.path(), {}).value();
    EXPECT_EQ(mode_of(place.folder), 0700U);
    EXPECT_EQ(mode_of(place.folder + "/key"), 0600U);
    EXPECT_EQ(bytes_of(open_meeting_place(name, base.path(), {})->key), bytes_of(place.key));
    EXPECT_NE(bytes_of(open_meeting_place({"site", "other"}, base.path(), {})->key), bytes_of(place.key));
}

TEST_F(I2_MeetingPlace, HasOneKeyHoweverManyComeFirst) {
    std::vector<std::future<std::vector<std::byte>>> keys;
    for (int thread = 0; thread < 8; ++thread) {
        keys.push_back(std::async(std::launch::async,
                                  [&] { return bytes_of(open_meeting_place(name, base.path(), {}).value().key); }));
    }
    const auto first = keys.front().get();
    for (std::size_t other = 1; other < keys.size(); ++other) EXPECT_EQ(keys[other].get(), first);
}

TEST_F(I2_MeetingPlace, IsNotTakenFromOthers) {
    const auto folder = open_meeting_place(name, base.path(), {})->folder;
    const auto error = [&] {
        const auto opened = open_meeting_place(name, base.path(), {});
        return opened ? std::string() : opened.error();
    };
    EXPECT_EQ(error(), "");
    ::chmod(folder.c_str(), 0750);
    EXPECT_THAT(error(), HasSubstr("chmod 700"));
    ::chmod(folder.c_str(), 0700);
    ::chmod((folder + "/key").c_str(), 0640);
    EXPECT_THAT(error(), HasSubstr("chmod 600"));
    ::unlink((folder + "/key").c_str());
    EXPECT_EQ(::symlink("/etc/hostname", (folder + "/key").c_str()), 0);
    EXPECT_THAT(error(), HasSubstr("cannot be read"));
    ::unlink((folder + "/key").c_str());
    std::ofstream(folder + "/key") << "too short\n";
    ::chmod((folder + "/key").c_str(), 0600);
    EXPECT_THAT(error(), HasSubstr("64 hexadecimal digits"));
    if (::geteuid() == 0) {
        EXPECT_EQ(::chown(folder.c_str(), 1, 1), 0);
        EXPECT_THAT(error(), HasSubstr("another user"));
    }
}

TEST_F(I2_MeetingPlace, MayHaveItsKeyElsewhere) {
    const auto file = base.path() + "/shared-key";
    const auto missing = open_meeting_place(name, base.path(), file, false);
    ASSERT_FALSE(missing);
    EXPECT_THAT(missing.error(), HasSubstr("copy the agent's"));
    const auto made = open_meeting_place(name, base.path(), file).value();
    EXPECT_EQ(bytes_of(open_meeting_place(name, base.path(), file, false)->key), bytes_of(made.key));
    EXPECT_NE(bytes_of(open_meeting_place(name, base.path(), {})->key), bytes_of(made.key));
}

TEST_F(I2_MeetingPlace, HasOneAgent) {
    const auto place = open_meeting_place(name, base.path(), {}).value();
    {
        const auto first = Occupation::begin(place, name);
        ASSERT_TRUE(first) << first.error();
        const auto second = Occupation::begin(place, name);
        ASSERT_FALSE(second);
        EXPECT_THAT(second.error(), HasSubstr("site/agent runs already: process " + std::to_string(::getpid())));
        const auto child = ::fork();
        if (child == 0) {
            // Nor in another process.
            ::_exit(Occupation::begin(open_meeting_place({"site", "agent"}, base.path(), {}).value(), name) ? 1 : 0);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_TRUE(Occupation::begin(place, name)) << "free again";
}

// As a training program has them for its data.
TEST_F(I2_MeetingPlace, IsNotHeldByAChildThatTheAgentHasForked) {
    const auto place = open_meeting_place(name, base.path(), {}).value();
    auto agent = std::make_optional(Occupation::begin(place, name).value());
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto child = ::fork();
    if (child == 0) {
        ::close(ends[1]);
        char nothing = 0;
        (void)!::read(ends[0], &nothing, 1);
        ::_exit(0);
    }
    agent.reset();
    EXPECT_TRUE(Occupation::begin(place, name)) << "while the child still has the descriptor";
    ::close(ends[0]);
    ::close(ends[1]);
    EXPECT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST_F(I2_MeetingPlace, NamesAreCheckedAndRead) {
    EXPECT_EQ(AgentName::parse("site/agent").value(), name);
    EXPECT_EQ(AgentName::parse("site/a/b")->id, "a/b");
    for (const auto* text : {"", "site", "/agent", "site/", "a\n/b", "a/b\x7f", "a/\xff"}) {
        EXPECT_FALSE(AgentName::parse(text)) << text;
    }
}

}  // namespace
}  // namespace rankexec::test
