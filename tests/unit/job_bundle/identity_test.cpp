// SPDX-License-Identifier: Apache-2.0
// Whose a bundle is: keys, signatures, and the file that they come from.
#include "rankexec/core/job/bundle/identity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "rankexec/core/component/configuration_error.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kDigest(64, 'd');

std::string content_of(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

template <typename Work>
std::string refusal(Work&& work) {
    try {
        work();
    } catch (const ConfigurationError& error) {
        EXPECT_EQ(error.kind(), ConfigurationError::Kind::option);
        return error.what();
    }
    return "nothing refused";
}

TEST(J3_BundleSignature, IsItsSignersAlone) {
    const auto ana = Identity::create(Role::user, "ana");
    const auto bob = Identity::create(Role::user, "bob");
    const auto signature = ana.sign("submit", kDigest);
    EXPECT_TRUE(ana.public_part().signed_this(signature, "submit", kDigest));
    EXPECT_FALSE(bob.public_part().signed_this(signature, "submit", kDigest));
    EXPECT_EQ(ana.sign("submit", kDigest), signature);
    EXPECT_NE(bob.sign("submit", kDigest), signature);
}

TEST(J3_BundleSignature, IsForItsPurposeAndItsBundleAlone) {
    const auto ana = Identity::create(Role::user, "ana");
    const auto& key = ana.public_part();
    const auto signature = ana.sign("deploy 1", kDigest);
    EXPECT_FALSE(key.signed_this(signature, "deploy 2", kDigest));
    EXPECT_FALSE(key.signed_this(signature, "submit", kDigest));
    EXPECT_FALSE(key.signed_this(signature, "deploy 1", std::string(64, 'e')));
    EXPECT_FALSE(key.signed_this(signature, "deploy 1" + kDigest.substr(0, 1), kDigest.substr(1)));
    for (std::size_t byte = 0; byte < signature.size(); ++byte) {
        auto other = signature;
        other[byte] ^= std::byte{1};
        EXPECT_FALSE(key.signed_this(other, "deploy 1", kDigest)) << byte;
    }
    EXPECT_FALSE(key.signed_this(Signature{}, "deploy 1", kDigest));
    EXPECT_FALSE(PublicIdentity{}.signed_this(signature, "deploy 1", kDigest));
}

TEST(J3_BundleSignature, SurvivesTheWayThroughAMessage) {
    const auto signature = Identity::create(Role::user, "ana").sign("submit", kDigest);
    EXPECT_EQ(to_hex(signature).size(), 128U);
    EXPECT_EQ(signature_from(to_hex(signature)), signature);
    for (const auto& text : {std::string(), std::string("x"), std::string(128, 'g'), to_hex(signature) + "00",
                             to_hex(signature).substr(2), " " + to_hex(signature).substr(1)}) {
        EXPECT_EQ(signature_from(text), std::nullopt) << text;
    }
}

TEST(J3_BundleIdentity, SurvivesTheWayThroughItsFile) {
    const cli::TemporaryFolder folder;
    const auto file = folder.path() / "keys/a/identity.toml";
    auto site = Identity::create(Role::site, "a");
    site.controller_address = "tcp://10.0.0.1:9000";
    site.controller = Identity::create(Role::controller, "controller").public_part();
    site.save(file);
    const auto loaded = Identity::load(file);
    EXPECT_EQ(loaded.public_part(), site.public_part());
    EXPECT_EQ(loaded.controller, site.controller);
    EXPECT_EQ(loaded.controller_address, site.controller_address);
    EXPECT_EQ(loaded.curve_keys().secret_key, site.curve_keys().secret_key);
    EXPECT_EQ(loaded.sign("x", kDigest), site.sign("x", kDigest));
    const auto bare = Identity::create(Role::user, "ana");
    bare.save(folder.path() / "ana.toml");
    EXPECT_EQ(Identity::load(folder.path() / "ana.toml").controller, std::nullopt);
}

TEST(J3_BundleIdentity, TheFileIsItsOwnersAndNeverReplaced) {
    const cli::TemporaryFolder folder;
    const auto file = folder.path() / "identity.toml";
    const auto first = Identity::create(Role::site, "a");
    first.save(file);
    struct stat state {};
    ASSERT_EQ(::stat(file.c_str(), &state), 0);
    EXPECT_EQ(state.st_mode & 0777U, 0600U);
    EXPECT_THAT(refusal([&] { Identity::create(Role::site, "a").save(file); }), HasSubstr("is there already"));
    EXPECT_EQ(Identity::load(file).public_part(), first.public_part());
    for (const auto mode : {0640U, 0604U, 0620U}) {
        ASSERT_EQ(::chmod(file.c_str(), mode), 0);
        EXPECT_THAT(refusal([&] { static_cast<void>(Identity::load(file)); }), HasSubstr("chmod 600"));
    }
}

TEST(J3_BundleIdentity, WhatIsNoneIsNamed) {
    const cli::TemporaryFolder folder;
    const auto with = [&](const std::string& content) {
        const auto file = folder.write("identity.toml", content);
        return refusal([&] { static_cast<void>(Identity::load(file)); });
    };
    Identity::create(Role::site, "a").save(folder.path() / "good.toml");
    const auto good = content_of(folder.path() / "good.toml");
    EXPECT_EQ(with(good), "nothing refused");
    EXPECT_THAT(with(""), testing::AllOf(HasSubstr("identity.toml"), HasSubstr("\"role\" is missing")));
    EXPECT_THAT(with("role = "), HasSubstr("not valid TOML"));
    EXPECT_THAT(with(good + "x = 1"), HasSubstr("unknown key"));
    EXPECT_THAT(with("role = \"king\"\nname = \"a\"\nseed = \"\""), HasSubstr("\"role\" must be"));
    EXPECT_THAT(with("role = \"site\"\nname = \"../a\"\nseed = \"" + std::string(64, '0') + "\""),
                HasSubstr("no name of a site"));
    EXPECT_THAT(with("role = \"site\"\nname = \"a\"\nseed = \"" + std::string(63, '0') + "\""),
                HasSubstr("64 hexadecimal"));
    const auto controller = "controller = \"" + Identity::create(Role::site, "b").public_part().to_text() + "\"\n";
    EXPECT_THAT(with(controller + good), HasSubstr("that of a controller"));
    EXPECT_THAT(with(std::string(20'000, '#')), HasSubstr("too large"));
    EXPECT_THAT(refusal([&] { static_cast<void>(Identity::load(folder.path() / "missing")); }),
                HasSubstr("cannot be read"));
    EXPECT_THAT(refusal([&] { static_cast<void>(Identity::load(folder.path())); }), HasSubstr(folder.path().string()));
    EXPECT_THAT(refusal([] { static_cast<void>(Identity::create(Role::user, "a/b")); }),
                HasSubstr("no name of a user"));
}

TEST(J3_BundleIdentity, ThePublicPartIsALineOfText) {
    const auto site = Identity::create(Role::site, "node-7.cluster").public_part();
    EXPECT_EQ(PublicIdentity::parse(site.to_text()), site);
    EXPECT_THAT(site.to_text(), testing::MatchesRegex("site:node-7.cluster:[0-9a-f]{64}:[0-9a-f]{64}"));
    EXPECT_EQ(site.peer(), "site/node-7.cluster");
    EXPECT_EQ(Identity::create(Role::controller, "hub").public_part().peer(), "controller");
    const auto with = [](const std::string& text) {
        return refusal([&] { static_cast<void>(PublicIdentity::parse(text)); });
    };
    const auto text = site.to_text();
    for (const auto& wrong : {std::string(), text.substr(0, 40), text + ":", text + "0", "king" + text.substr(4),
                              "site:../x:" + text.substr(text.size() - 129), text.substr(0, text.size() - 1) + "g"}) {
        EXPECT_NE(with(wrong), "nothing refused") << wrong;
    }
}

TEST(J3_BundleIdentity, ItsKeysTellNothingOfEachOther) {
    const auto one = Identity::create(Role::user, "ana");
    EXPECT_NE(one.public_part().curve_key, one.public_part().signing_key);
    EXPECT_EQ(one.curve_keys().public_key, one.public_part().curve_key);
    EXPECT_NE(Identity::create(Role::user, "ana").public_part(), one.public_part());
}

}  // namespace
}  // namespace rankexec::job
