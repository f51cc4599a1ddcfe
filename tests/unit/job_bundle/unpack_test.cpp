// SPDX-License-Identifier: Apache-2.0
// What is refused, and that it leaves nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "archive_maker.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class J3_BundleRefused : public testing::Test {
protected:
    using Make = std::function<void(ArchiveMaker&)>;

    /// What unpacking says about an archive; inspecting must say the same, and neither may leave anything.
    std::string refusal(const Make& make, const BundleLimits& limits = {},
                        ArchiveMaker::Filter filter = ArchiveMaker::Filter::gzip) const {
        {
            ArchiveMaker maker(archive_, filter);
            make(maker);
        }
        return refusal_of_file(limits);
    }
    std::string refusal_of_file(const BundleLimits& limits = {}) const {
        const auto unpacked = unpack_bundle(archive_, out_, limits);
        const auto inspected = inspect_bundle(archive_, limits);
        if (unpacked) {
            fs::remove_all(out_);
            return "nothing refused";
        }
        EXPECT_EQ(unpacked.error().code, ReturnCode::bad_request_data);
        EXPECT_FALSE(inspected);
        if (!inspected) {
            EXPECT_EQ(inspected.error().message, unpacked.error().message);
        }
        EXPECT_FALSE(fs::exists(out_));
        EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1) << "only the archive itself";
        return unpacked.error().message;
    }

    cli::TemporaryFolder folder_;
    fs::path archive_ = folder_.path() / "bundle.tar.gz";
    fs::path out_ = folder_.path() / "out";
};

TEST_F(J3_BundleRefused, PathsThatLeaveTheFolder) {
    const auto with = [&](const std::string& path) {
        return refusal([&](ArchiveMaker& it) { it.file("a").file(path); });
    };
    EXPECT_THAT(with("/etc/x"), HasSubstr("absolute"));
    EXPECT_THAT(with((folder_.path() / "x").string()), HasSubstr("absolute"));
    for (const auto* path : {"..", "../x", "b/../x", "b/../../x", "b/.."}) EXPECT_THAT(with(path), HasSubstr("\"..\""));
    EXPECT_THAT(with("b/./x"), HasSubstr("\".\""));
    EXPECT_THAT(with("b//x"), HasSubstr("empty name"));
    EXPECT_THAT(with("b\nx"), HasSubstr("control characters"));
    EXPECT_THAT(with("b\x1B[2Jx"), testing::AllOf(HasSubstr("control characters"), testing::Not(HasSubstr("\x1B"))));
    EXPECT_THAT(with(std::string(256, 'n')), HasSubstr("too long"));
    std::string deep;
    for (int depth = 0; depth < 64; ++depth) deep += "d/";
    EXPECT_THAT(with(deep + "x"), HasSubstr("too deep"));
    EXPECT_EQ(with("./b/x"), "nothing refused");
}

TEST_F(J3_BundleRefused, LinksThatLeaveTheFolder) {
    const auto with = [&](const std::string& path, const std::string& target) {
        return refusal([&](ArchiveMaker& it) { it.file("a/b/c").link(path, target); });
    };
    EXPECT_THAT(with("l", "/etc"), HasSubstr("out of the folder"));
    EXPECT_THAT(with("l", ".."), HasSubstr("out of the folder"));
    EXPECT_THAT(with("l", "./../x"), HasSubstr("out of the folder"));
    EXPECT_THAT(with("a/l", "../../x"), HasSubstr("out of the folder"));
    EXPECT_THAT(with("a/l", "b/../x"), HasSubstr("behind a name"));
    EXPECT_THAT(with("l", "a/../../x"), HasSubstr("out of the folder"));
    EXPECT_EQ(with("a/l", "../x"), "nothing refused");
    EXPECT_EQ(with("a/b/l", "../.."), "nothing refused");
    EXPECT_EQ(with("l", "a/b"), "nothing refused");
    // By their text both stay; through "down" the second one would not.
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.folder("s").link("s/down", "..").link("s/l", "down/../x"); }),
                HasSubstr("behind a name"));
}

TEST_F(J3_BundleRefused, WhatIsBelowALinkOrFile) {
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.folder("a").link("l", "a").file("l/x"); }),
                HasSubstr("below a file or link"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.file("f").file("f/x"); }), HasSubstr("below a file or link"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.link("l", "x").folder("l"); }), HasSubstr("there twice"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.file("d/x").link("d", "e"); }), HasSubstr("there twice"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.file("f").file("./f"); }), HasSubstr("there twice"));
    EXPECT_EQ(refusal([](ArchiveMaker& it) { it.file("d/x").folder("d"); }), "nothing refused");
}

TEST_F(J3_BundleRefused, WhatIsNeitherFileNorFolderNorLink) {
    for (const auto type : {AE_IFCHR, AE_IFBLK, AE_IFIFO}) {
        EXPECT_THAT(refusal([&](ArchiveMaker& it) {
                        it.file("x", "", [&](archive_entry* entry) { archive_entry_set_filetype(entry, type); });
                    }),
                    HasSubstr("neither a file nor a folder nor a link"));
    }
    EXPECT_THAT(refusal([](ArchiveMaker& it) {
                    it.file("a").file("x", "", [](archive_entry* entry) {
                        archive_entry_set_size(entry, 0);
                        archive_entry_copy_hardlink(entry, "/etc/passwd");
                    });
                }),
                HasSubstr("hard link"));
}

TEST_F(J3_BundleRefused, WhatIsOverTheLimits) {
    BundleLimits limits;
    limits.max_bytes = 10'000;
    constexpr std::int64_t kMuch = std::int64_t{50} << 20U;
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.zeros("bomb", 10'001); }, limits), HasSubstr("limit of 10000 bytes"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.zeros("a", 6'000).zeros("b", 6'000); }, limits),
                HasSubstr("limit of 10000 bytes"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.zeros("bomb", kMuch); }, limits), HasSubstr("larger than the limit"));
    EXPECT_EQ(refusal([](ArchiveMaker& it) { it.zeros("a", 5'000).zeros("b", 5'000); }, limits), "nothing refused");
    limits.max_entries = 3;
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.file("a/b/c/d"); }, limits), HasSubstr("more than 3 entries"));
    EXPECT_EQ(refusal([](ArchiveMaker& it) { it.file("a/b/c"); }, limits), "nothing refused");
}

TEST_F(J3_BundleRefused, WhatIsNoGzippedTar) {
    const auto with = [&](const std::string& content) {
        folder_.write("bundle.tar.gz", content);
        return refusal_of_file();
    };
    EXPECT_NE(with(""), "nothing refused");
    EXPECT_THAT(with("hello"), HasSubstr("no whole bundle"));
    EXPECT_THAT(with(std::string(2'000, '\0')), HasSubstr("not compressed with gzip"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.file("x"); }, {}, ArchiveMaker::Filter::none),
                HasSubstr("not compressed"));
    EXPECT_THAT(refusal([](ArchiveMaker& it) { it.file("x"); }, {}, ArchiveMaker::Filter::bzip2),
                HasSubstr("no whole bundle"));
}

TEST_F(J3_BundleRefused, WhatIsCutShort) {
    std::string content;
    { ArchiveMaker(archive_).file("a", std::string(5'000, 'a')).file("b", "b"); }
    {
        std::ifstream stream(archive_, std::ios::binary);
        content.assign(std::istreambuf_iterator<char>(stream), {});
    }
    // The last bytes are the end mark of the archive, and the checksum of gzip.
    for (std::size_t size = 0; size + 40 < content.size(); ++size) {
        folder_.write("bundle.tar.gz", content.substr(0, size));
        EXPECT_NE(refusal_of_file(), "nothing refused") << size << " of " << content.size();
    }
}

TEST_F(J3_BundleRefused, SpecialBitsAndOwnersAreNotTakenOver) {
    {
        ArchiveMaker(archive_).file("x", "#!", [](archive_entry* entry) {
            archive_entry_set_perm(entry, 06777);
            archive_entry_set_uid(entry, 12'345);
        });
    }
    ASSERT_TRUE(unpack_bundle(archive_, out_));
    struct stat state {};
    ASSERT_EQ(::stat((out_ / "x").c_str(), &state), 0);
    EXPECT_EQ(state.st_mode & 07777U & ~0755U, 0U);
    EXPECT_EQ(state.st_uid, ::geteuid());
}

TEST_F(J3_BundleRefused, AFolderThatIsInUseIsLeftAlone) {
    { ArchiveMaker(archive_).file("x"); }
    const auto kept = folder_.write("out/kept", "mine");
    EXPECT_FALSE(unpack_bundle(archive_, out_));
    EXPECT_TRUE(fs::exists(kept));
    fs::remove(kept);
    folder_.write("bundle.tar.gz", "no bundle");
    EXPECT_FALSE(unpack_bundle(archive_, out_));
    EXPECT_TRUE(fs::is_empty(out_)) << "an empty one stays";
    EXPECT_EQ(unpack_bundle(folder_.path() / "missing", out_).error().code, ReturnCode::execution_exception);
}

TEST_F(J3_BundleRefused, AFolderBehindALinkIsUsedWhereItIs) {
    { ArchiveMaker(archive_).file("d/x"); }
    fs::create_directory(folder_.path() / "real");
    fs::create_directory_symlink("real", out_);
    ASSERT_TRUE(unpack_bundle(archive_, out_));
    EXPECT_TRUE(fs::exists(folder_.path() / "real/d/x"));
}

}  // namespace
}  // namespace rankexec::job
