// SPDX-License-Identifier: Apache-2.0
// What holds for pipes through files only: folders, names, modes, and what strangers put there.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "forms.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/message_file.hpp"
#include "small_files.hpp"

namespace rankexec::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class L2_FilePipe : public ::testing::Test {
protected:
    [[nodiscard]] fs::path path(const std::string& name) const { return fs::path(ends.root()) / name; }
    static unsigned mode_of(const fs::path& file) {
        struct stat status {};
        EXPECT_EQ(::lstat(file.c_str(), &status), 0) << file;
        return status.st_mode & 07777U;
    }
    static std::size_t count(const fs::path& folder) {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
    }
    static fs::path only_file(const fs::path& folder) { return fs::directory_iterator(folder)->path(); }
    /// A file that nobody takes: its sender is gone.
    std::string left_over(int number) {
        const auto name = names.next();
        const auto frames = pipe::to_frames(std::string(32, 'b'), pipe::encode(numbered(number)).value());
        const int fd = ::open((path("to_passive") / name).c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600);
        EXPECT_TRUE(pipe::write_message_file(fd, frames));
        ::close(fd);
        return name;
    }
    void expect_refused(const std::string& why) {
        const auto received = ends.passive->receive(kLong);
        ASSERT_EQ(kind_of(received), "bad_message");
        EXPECT_THAT(received.error().message, HasSubstr(why));
        EXPECT_EQ(count(path("to_passive")), 0U);
        EXPECT_EQ(count(path("temporary")), 0U);
    }
    void expect_works() {
        auto sent = std::async(std::launch::async, [&] { return ends.active->send(numbered(77), kLong); });
        EXPECT_EQ(number_of(received_by(*ends.passive)), 77);
        EXPECT_EQ(kind_of(sent.get()), "");
    }

    Ends ends{Form::file};
    pipe::MessageFileNames names;
};

TEST_F(L2_FilePipe, OpenMakesPrivateFoldersTheConstructorNothing) {
    const auto mask = ::umask(0);
    const auto fresh = ends.another_active();
    EXPECT_FALSE(fs::exists(ends.root()));
    ends.open();
    EXPECT_EQ(mode_of(ends.root()), 0700U);
    for (const char* name : {"to_passive", "to_active", "temporary", "refused"}) EXPECT_EQ(mode_of(path(name)), 0700U);
    auto sent = std::async(std::launch::async, [&] { return ends.active->send(numbered(1), kShort); });
    (void)sent.get();
    const auto name = left_over(1);
    EXPECT_EQ(mode_of(path("to_passive") / name), 0600U);
    ::umask(mask);
}

TEST_F(L2_FilePipe, MessagesLieInPrivateFiles) {
    const auto mask = ::umask(0);
    unsigned mode = 0;
    ends.open_passive();
    ends.open_active([&](PipeStep step) {
        if (step == PipeStep::published) mode = mode_of(only_file(path("to_passive")));
    });
    (void)ends.active->send(numbered(1), kShort);
    EXPECT_EQ(mode, 0600U);
    ::umask(mask);
}

TEST_F(L2_FilePipe, ThePassiveEndRemovesTheFoldersAndTheRootIfItMadeIt) {
    ends.open();
    (void)left_over(1);
    ends.active->close();
    EXPECT_TRUE(fs::exists(path("to_passive")));
    ends.passive->close();
    EXPECT_FALSE(fs::exists(ends.root()));
}

TEST_F(L2_FilePipe, ARootThatWasThereStaysWithWhatElseIsInIt) {
    fs::create_directory(ends.root());
    fs::permissions(ends.root(), fs::perms::owner_all);
    std::ofstream(path("users_own")) << "x";
    ends.open();
    ends.passive->close();
    EXPECT_TRUE(fs::exists(path("users_own")));
    EXPECT_EQ(count(ends.root()), 1U);
}

TEST_F(L2_FilePipe, ARootThatTheActiveEndMadeStays) {
    ends.open_active();
    ends.open_passive();
    ends.passive->close();
    EXPECT_TRUE(fs::exists(ends.root()));
    EXPECT_EQ(count(ends.root()), 0U);
}

TEST_F(L2_FilePipe, WhereThereIsNoRoomAMessageIsNotSentAndThePipeGoesOn) {
    ends.open();
    {
        const NoRoom full;
        const auto sent = ends.active->send(numbered(1), kLong);
        EXPECT_EQ(kind_of(sent), "not_sent");
        EXPECT_THAT(sent.error().message, HasSubstr("could not be written"));
    }
    EXPECT_EQ(count(path("temporary")), 0U);
    expect_works();
}

TEST_F(L2_FilePipe, OnTimeOutTheSenderWithdraws) {
    ends.open();
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kShort)), "not_taken");
    EXPECT_EQ(count(path("to_passive")), 0U);
    EXPECT_EQ(count(path("temporary")), 0U);
    EXPECT_TRUE(receives_nothing(*ends.passive));
}

TEST_F(L2_FilePipe, GoneAlreadyCountsAsTaken) {
    ends.open_passive();
    // The reader takes it between the sender's last look and its withdrawing.
    ends.open_active([&](PipeStep step) {
        if (step != PipeStep::published) return;
        EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
    });
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), std::chrono::milliseconds(0))), "");
}

TEST_F(L2_FilePipe, WhatTheReaderThrewAwayWasNotTaken) {
    ends.open_passive();
    ends.open_active([&](PipeStep step) {
        if (step == PipeStep::published) ends.passive->clear();
    });
    EXPECT_EQ(kind_of(ends.active->send(numbered(1), kLong)), "not_taken");
    Ends closing(Form::file);
    closing.open_passive();
    closing.open_active([&](PipeStep step) {
        if (step == PipeStep::published) closing.passive->close();
    });
    EXPECT_EQ(kind_of(closing.active->send(numbered(1), kLong)), "broken");
}

TEST_F(L2_FilePipe, WhatItsOwnEndThrewAwayInClosingWasNotSentBecauseOfThat) {
    ends.open_passive([&](PipeStep step) {
        if (step != PipeStep::published) return;
        // Keeps the folder there, as it is for a moment between the message and itself anyway.
        fs::create_directories(path("to_active") / "in the way" / "for long");
        ends.passive->close();
    });
    EXPECT_EQ(kind_of(ends.passive->send(numbered(1), kLong)), "closed");
    fs::remove_all(ends.root());
}

TEST_F(L2_FilePipe, ALostRaceIsSkipped) {
    int arrived = 0;
    ends.open_passive([&](PipeStep step) {
        // Its sender withdraws the first at the last moment.
        if (step == PipeStep::arrived && ++arrived == 1) fs::remove(*fs::directory_iterator(path("to_passive")));
    });
    ends.open_active();
    const auto first = left_over(1);
    EXPECT_TRUE(receives_nothing(*ends.passive));
    (void)left_over(2);
    EXPECT_EQ(number_of(received_by(*ends.passive)), 2);
    EXPECT_GE(arrived, 2);
}

TEST_F(L2_FilePipe, LeftOversOfADeadSenderComeOldestFirst) {
    ends.open();
    for (int number = 0; number < 12; ++number) (void)left_over(number);
    for (int number = 0; number < 12; ++number) EXPECT_EQ(number_of(received_by(*ends.passive)), number);
}

TEST_F(L2_FilePipe, NamesSortAsTheyWereMadeAndAfterOlderOnes) {
    std::string last;
    for (int count = 0; count < 1000; ++count) {
        const auto name = names.next();
        EXPECT_TRUE(pipe::is_message_file_name(name)) << name;
        EXPECT_LT(last, name);
        last = name;
    }
    // A sender whose clock was ahead.
    const std::string ahead = "03000000000000000000-0000000001-0a1b2c3d.message";
    ASSERT_TRUE(pipe::is_message_file_name(ahead));
    names.after(ahead);
    EXPECT_LT(ahead, names.next());
    for (const char* name :
         {"", "message", "../../x", "93000000000000000000-0000000001-0a1b2c3d.message",
          "03000000000000000000-0000000001-0a1b2c3g.message", "03000000000000000000-0000000001-0a1b2c3d.messagee"}) {
        EXPECT_FALSE(pipe::is_message_file_name(name)) << name;
    }
}

TEST_F(L2_FilePipe, ARestartedSenderContinuesTheOrder) {
    ends.open();
    {
        std::ofstream(path("to_passive") / "03000000000000000000-0000000001-0a1b2c3d.message") << "x";
        auto restarted = ends.another_active();
        ASSERT_TRUE(restarted->open(kLong));
        auto sent = std::async(std::launch::async, [&] { return restarted->send(numbered(1), kLong); });
        EXPECT_EQ(kind_of(ends.passive->receive(kLong)), "bad_message") << "the one that was there";
        EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
        EXPECT_EQ(kind_of(sent.get()), "");
    }
}

TEST_F(L2_FilePipe, WhatAnEarlierProcessLeftUnfinishedIsRemovedByItsOwnEnd) {
    ends.open();
    std::ofstream(path("temporary") / "active-1") << "half";
    std::ofstream(path("temporary") / "passive-1") << "half";
    auto restarted = ends.another_active();
    ASSERT_TRUE(restarted->open(kLong));
    EXPECT_FALSE(fs::exists(path("temporary") / "active-1"));
    EXPECT_TRUE(fs::exists(path("temporary") / "passive-1"));
    expect_works();
}

// ---- what strangers put there -----------------------------------------------------------------

TEST_F(L2_FilePipe, ATruncatedMessageIsPutAsideAtEveryLength) {
    ends.open();
    const auto whole = path("to_passive") / left_over(1);
    const auto size = fs::file_size(whole);
    const auto copy = path("users_copy");
    fs::copy(whole, copy);
    EXPECT_EQ(number_of(received_by(*ends.passive)), 1);
    for (std::uintmax_t length = 0; length < size; ++length) {
        const auto cut = path("to_passive") / names.next();
        fs::copy(copy, cut);
        fs::resize_file(cut, length);
        expect_refused("truncated");
    }
    const auto longer = path("to_passive") / names.next();
    fs::copy(copy, longer);
    fs::resize_file(longer, size + 1);
    expect_refused("overlong");
    EXPECT_EQ(count(path("refused")), 16U) << "the rest was deleted";
    expect_works();
    fs::remove(copy);
}

TEST_F(L2_FilePipe, DamagedMessagesAreRefusedOrMessages) {
    ends.open();
    const auto whole = path("to_passive") / left_over(1);
    std::ifstream in(whole, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    fs::remove(whole);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        for (const int bit : {0, 4, 7}) {
            auto damaged = bytes;
            damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
            std::ofstream(path("to_passive") / names.next(), std::ios::binary) << damaged;
            const auto received = ends.passive->receive(kLong);
            EXPECT_THAT(kind_of(received), ::testing::AnyOf("", "bad_message")) << at;
            EXPECT_EQ(count(path("temporary")), 0U);
        }
    }
    expect_works();
}

TEST_F(L2_FilePipe, ALargeFileIsRefusedUnread) {
    wire::Limits limits;
    limits.message_bytes = 10'000;
    Ends small(Form::file, limits);
    small.open();
    const auto file = fs::path(small.root()) / "to_passive" / names.next();
    std::ofstream(file) << "x";
    fs::resize_file(file, std::uintmax_t{1} << 40U);  // sparse
    const auto received = small.passive->receive(kLong);
    ASSERT_EQ(kind_of(received), "bad_message");
    EXPECT_THAT(received.error().message, HasSubstr("over the limit of 10000"));
}

TEST_F(L2_FilePipe, WhatIsNoFileOfOursIsPutAside) {
    ends.open();
    const auto folder = path("to_passive");
    std::ofstream(folder / "notes.txt") << "mine";
    expect_refused("notes.txt");
    std::ofstream(folder / "\x1b[2J\xff") << "terminal";
    const auto received = ends.passive->receive(kLong);
    ASSERT_EQ(kind_of(received), "bad_message");
    EXPECT_THAT(received.error().message, ::testing::Not(HasSubstr("\x1b")));
    fs::create_directories(folder / names.next() / "inner");
    expect_refused("no regular file");
    fs::create_symlink("/etc/passwd", folder / names.next());
    expect_refused("could not be opened");
    ASSERT_EQ(::mkfifo((folder / names.next()).c_str(), 0600), 0);
    expect_refused("no regular file");
    std::ofstream(folder / names.next()) << "#!/bin/sh\necho not a message at all\n";
    expect_refused("not a message");
    std::ofstream(folder / ".nfs0001") << "a network file system's own";
    EXPECT_TRUE(receives_nothing(*ends.passive));
    expect_works();
    EXPECT_EQ(count(path("refused")), 6U);
}

TEST_F(L2_FilePipe, WhatCannotBePutAsideDoesNotBlockTheRest) {
    ends.open();
    for (int number = 0; number < 20; ++number) {
        fs::create_directories(path("to_passive") / ("folder" + std::to_string(number)) / "inner");
        EXPECT_EQ(kind_of(ends.passive->receive(kLong)), "bad_message");
    }
    EXPECT_TRUE(receives_nothing(*ends.passive));
    expect_works();
}

TEST_F(L2_FilePipe, FoldersThatOthersMayWriteToAreRefused) {
    const auto mask = ::umask(0);
    ASSERT_EQ(::mkdir(ends.root().c_str(), 0777), 0);
    ::umask(mask);
    const auto pipe = ends.another_active();
    const auto opened = pipe->open(kLong);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("may be written to by others"));
    fs::permissions(ends.root(), fs::perms::owner_all);
    TemporaryFolder elsewhere;
    fs::create_directory_symlink(elsewhere.path(), path("to_passive"));
    const auto again = ends.another_active()->open(kLong);
    ASSERT_FALSE(again);
    EXPECT_THAT(again.error().message, HasSubstr("to_passive"));
    EXPECT_TRUE(fs::is_empty(elsewhere.path()));
}

TEST_F(L2_FilePipe, APathThatIsNotAbsoluteIsAConfigurationError) {
    for (const char* root : {"", "here", "../x"}) {
        FilePipe::Options options;
        options.root = root;
        EXPECT_THROW(FilePipe pipe(options), ConfigurationError) << root;
    }
    FilePipe::Options options;
    options.root = "/nowhere/at/all";
    FilePipe pipe(options);
    const auto opened = pipe.open(kLong);
    ASSERT_FALSE(opened);
    EXPECT_THAT(opened.error().message, HasSubstr("/nowhere/at/all"));
}

}  // namespace
}  // namespace rankexec::test
