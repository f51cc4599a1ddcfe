// SPDX-License-Identifier: Apache-2.0
// What is packed and unpacked again.
#include "rankexec/core/job/bundle/bundle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "archive_maker.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kJob = R"(name = "digits"
[[parts]]
folder = "site"
sites = ["@ALL"]
[workflow]
type = "fed_avg"
)";

std::string content_of(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// Every entry below it: its path, what it is and holds.
std::vector<std::string> tree_of(const fs::path& folder) {
    std::vector<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        auto line = fs::relative(entry.path().parent_path(), folder).string() + " " + entry.path().filename().string();
        if (entry.is_symlink()) {
            line += " -> " + fs::read_symlink(entry.path()).string();
        } else if (entry.is_regular_file()) {
            const bool executable = (entry.status().permissions() & fs::perms::owner_exec) != fs::perms::none;
            line += (executable ? " x " : " - ") + content_of(entry.path());
        }
        lines.push_back(line);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

class J3_Bundle : public testing::Test {
protected:
    void make_job() const {
        folder_.write("job/job.toml", kJob);
        folder_.write("job/site/part.toml", "executor = \"multi_process\"");
        folder_.write("job/site/run.sh", "#!/bin/sh", true);
        folder_.write("job/a \xC3\xA4/empty", "");
        folder_.write("job/" + std::string(200, 'n') + "/" + std::string(200, 'm'), std::string(100'000, 'x'));
        folder_.write("job/with\"quote' and \xFF", "not UTF-8");
        fs::create_directory(job_ / "empty folder");
        fs::create_symlink("../job.toml", job_ / "site/up");
        fs::create_symlink("site/run.sh", job_ / "down");
        fs::create_symlink("missing", job_ / "dangling");
    }
    std::string pack_refusal(const PackOptions& options = {}) const {
        const auto packed = pack_folder(job_, archive_, options);
        EXPECT_FALSE(packed);
        EXPECT_FALSE(fs::exists(archive_));
        EXPECT_FALSE(fs::exists(archive_.string() + ".part"));
        if (packed) return "nothing refused";
        EXPECT_EQ(packed.error().code, ReturnCode::bad_request_data);
        return packed.error().message;
    }

    cli::TemporaryFolder folder_;
    fs::path job_ = folder_.path() / "job";
    fs::path archive_ = folder_.path() / "bundle.tar.gz";
    fs::path out_ = folder_.path() / "out";
};

TEST_F(J3_Bundle, ComesOutAsItWentIn) {
    make_job();
    const auto packed = pack_folder(job_, archive_);
    ASSERT_TRUE(packed) << packed.error().message;
    EXPECT_EQ(packed->bytes, static_cast<std::int64_t>(fs::file_size(archive_)));
    EXPECT_THAT(packed->left_out, testing::IsEmpty());
    ASSERT_TRUE(unpack_bundle(archive_, out_));
    EXPECT_EQ(tree_of(out_), tree_of(job_));
    EXPECT_EQ(packed->entries, static_cast<std::int64_t>(tree_of(job_).size()));
}

TEST_F(J3_Bundle, EqualFoldersGiveEqualBundles) {
    make_job();
    ASSERT_TRUE(pack_folder(job_, archive_));
    fs::copy(job_, folder_.path() / "other", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::last_write_time(folder_.path() / "other/job.toml", fs::file_time_type::clock::now() - std::chrono::hours(9));
    fs::permissions(folder_.path() / "other/job.toml", fs::perms::owner_read);
    const auto again = folder_.path() / "again.tar.gz";
    ASSERT_TRUE(pack_folder(folder_.path() / "other", again));
    EXPECT_EQ(content_of(again), content_of(archive_));
    EXPECT_EQ(bundle_digest(again).value(), bundle_digest(archive_).value());
    folder_.write("job/site/part.toml", "executor = \"ipc\"");
    ASSERT_TRUE(pack_folder(job_, archive_));
    EXPECT_NE(bundle_digest(again).value(), bundle_digest(archive_).value());
}

TEST_F(J3_Bundle, TheDigestIsBlake2bOf256Bits) {
    // Of RFC 7693's "abc", with 32 bytes of output.
    const std::string text = "abc";
    const auto digest = "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319";
    EXPECT_EQ(bundle_digest(std::as_bytes(std::span(text))), digest);
    EXPECT_EQ(bundle_digest(folder_.write("abc", text)).value(), digest);
    EXPECT_EQ(bundle_digest(folder_.path() / "missing").error().code, ReturnCode::execution_exception);
}

TEST_F(J3_Bundle, AnArchiveInItsOwnFolderIsNotInItself) {
    make_job();
    const auto packed = pack_folder(job_, job_ / "bundle.tar.gz");
    ASSERT_TRUE(packed) << packed.error().message;
    ASSERT_TRUE(unpack_bundle(job_ / "bundle.tar.gz", out_));
    EXPECT_FALSE(fs::exists(out_ / "bundle.tar.gz"));
    EXPECT_FALSE(fs::exists(out_ / "bundle.tar.gz.part"));
}

TEST_F(J3_Bundle, WhatNoBundleMayHaveIsRefusedOrLeftOut) {
    make_job();
    const auto odd_one = [&](const std::string& name, const auto& make) {
        make(job_ / name);
        EXPECT_THAT(pack_refusal(), HasSubstr(name));
        const auto packed = pack_folder(job_, archive_, {{}, PackOptions::Odd::left_out});
        ASSERT_TRUE(packed) << packed.error().message;
        EXPECT_THAT(packed->left_out, ElementsAre(HasSubstr(name)));
        fs::remove(job_ / name);
        fs::remove(archive_);
    };
    odd_one("absolute", [](const fs::path& path) { fs::create_symlink("/etc/passwd", path); });
    odd_one("upwards", [](const fs::path& path) { fs::create_symlink("../x", path); });
    odd_one("around", [](const fs::path& path) { fs::create_symlink("site/../../x", path); });
    odd_one("fifo", [](const fs::path& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); });
    odd_one("socket", [](const fs::path& path) { ASSERT_EQ(::mknod(path.c_str(), S_IFSOCK | 0600, 0), 0); });
}

TEST_F(J3_Bundle, PackingKeepsToTheLimits) {
    make_job();
    BundleLimits limits;
    limits.max_bytes = 1'000;
    EXPECT_THAT(pack_refusal({limits, {}}), HasSubstr("larger than the limit of 1000 bytes"));
    limits = {};
    limits.max_entries = 5;
    EXPECT_THAT(pack_refusal({limits, {}}), HasSubstr("more than 5 entries"));
    const auto packed = pack_folder(job_, archive_, {limits, PackOptions::Odd::left_out});
    ASSERT_TRUE(packed) << packed.error().message;
    EXPECT_EQ(packed->entries, 5);
    EXPECT_THAT(packed->left_out, testing::Contains(HasSubstr("more than 5 entries")));
    EXPECT_EQ(pack_folder(folder_.path() / "missing", archive_).error().code, ReturnCode::execution_exception);
    EXPECT_EQ(pack_folder(job_, folder_.path() / "missing/x").error().code, ReturnCode::execution_exception);
}

TEST_F(J3_Bundle, InspectingTellsWhatTheJobIs) {
    make_job();
    ASSERT_TRUE(pack_folder(job_, archive_));
    const auto job = inspect_bundle(archive_);
    ASSERT_TRUE(job) << job.error().message;
    EXPECT_EQ(job->name, "digits");
    EXPECT_EQ(job->parts.front().folder, "site");
}

TEST_F(J3_Bundle, InspectingRefusesWhatIsNoJob) {
    const auto refusal = [&] {
        if (auto packed = pack_folder(job_, archive_); !packed) return packed.error().message;
        const auto job = inspect_bundle(archive_);
        if (job) return std::string("nothing refused");
        EXPECT_EQ(job.error().code, ReturnCode::bad_request_data);
        return job.error().message;
    };
    folder_.write("job/site/part.toml", "");
    EXPECT_THAT(refusal(), HasSubstr("no job.toml"));
    folder_.write("job/job.toml", "name = ");
    EXPECT_THAT(refusal(), HasSubstr("job.toml:1: not valid TOML"));
    folder_.write("job/job.toml", kJob);
    EXPECT_EQ(refusal(), "nothing refused");
    fs::remove(job_ / "site/part.toml");
    EXPECT_THAT(refusal(), HasSubstr("no site/part.toml"));
    fs::create_directory(job_ / "site/part.toml");
    EXPECT_THAT(refusal(), HasSubstr("no site/part.toml"));
    folder_.write("job/job.toml", std::string(2U << 20U, ' '));
    EXPECT_THAT(refusal(), HasSubstr("larger than 1 MiB"));
}

}  // namespace
}  // namespace rankexec::job
