// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/agent_address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "test_host.hpp"

namespace rankexec::test {
namespace {

using exchange::AgentAddress;
using exchange::AgentAddressError;
using Kind = AgentAddressError::Kind;
using ::testing::HasSubstr;
using ::testing::Not;

Kind kind_of_text(const std::string& text) {
    const auto address = AgentAddress::parse(text);
    EXPECT_FALSE(address) << text;
    return address ? Kind::empty : address.error().kind;
}

TEST(AgentAddress, EveryFormIsReadAsItIsWritten) {
    for (const std::string text : {"files:/a/b", "credentials-file:/run/rx/c d", "credentials:QUJD"}) {
        const auto address = AgentAddress::parse(text);
        ASSERT_TRUE(address) << address.error().message;
        EXPECT_EQ(address->to_text(), text);
        EXPECT_EQ(AgentAddress::parse(address->to_text()).value(), *address);
    }
    EXPECT_EQ(AgentAddress::parse("files:/a/b")->form, AddressForm::files);
    EXPECT_EQ(AgentAddress::parse("credentials-file:/a")->value, "/a");
    EXPECT_EQ(AgentAddress::parse("credentials:x")->form, AddressForm::credentials);
}

TEST(AgentAddress, WhatIsNoneIsAnErrorOfItsKind) {
    EXPECT_EQ(kind_of_text(""), Kind::empty);
    EXPECT_EQ(kind_of_text("/tmp/pipe"), Kind::unknown_form);
    EXPECT_EQ(kind_of_text("file:/tmp/pipe"), Kind::unknown_form);
    EXPECT_EQ(kind_of_text("FILES:/tmp/pipe"), Kind::unknown_form);
    EXPECT_EQ(kind_of_text("files:pipe"), Kind::bad_path);
    EXPECT_EQ(kind_of_text("files:"), Kind::bad_path);
    EXPECT_EQ(kind_of_text("credentials-file:c"), Kind::bad_path);
    EXPECT_EQ(kind_of_text(std::string("files:/a\0b", 10)), Kind::bad_path);
    EXPECT_EQ(kind_of_text("credentials:"), Kind::bad_credentials);
    EXPECT_EQ(kind_of_text("files:/" + std::string(exchange::kAgentAddressBytes, 'a')), Kind::too_long);
}

TEST(AgentAddress, ASecretIsInNoMessage) {
    EXPECT_THAT(AgentAddress::parse("crdentials:SECRET").error().message, Not(HasSubstr("SECRET")));
    const AgentAddress address(AddressForm::credentials, "SECRET");
    EXPECT_THAT(address.describe(), Not(HasSubstr("SECRET")));
    const auto pipe = exchange::open_agent_pipe(address);
    ASSERT_FALSE(pipe);
    EXPECT_EQ(pipe.error().kind, Kind::bad_credentials);
    EXPECT_THAT(pipe.error().message, Not(HasSubstr("SECRET")));
}

TEST(AgentAddress, DescribesWhereItLeads) {
    EXPECT_EQ(AgentAddress(AddressForm::files, "/a\nb").describe().find('\n'), std::string::npos);
    EXPECT_THAT(AgentAddress(AddressForm::credentials_file, "/run/c").describe(), HasSubstr("/run/c"));
}

class CredentialsFile : public ::testing::Test {
protected:
    void write(const std::string& text, mode_t mode = 0600) {
        std::ofstream(path) << text;
        ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    }
    [[nodiscard]] AgentAddressError refusal() const {
        const auto pipe = exchange::open_agent_pipe({AddressForm::credentials_file, path});
        EXPECT_FALSE(pipe);
        return pipe ? AgentAddressError{} : pipe.error();
    }

    TemporaryFolder folder;
    std::string path = folder.path() + "/credentials";
};

TEST_F(CredentialsFile, MustBeThere) {
    EXPECT_EQ(refusal().kind, Kind::unreadable);
    EXPECT_THAT(refusal().message, HasSubstr(path));
}

TEST_F(CredentialsFile, OthersMayNeitherReadNorChangeIt) {
    for (const mode_t mode : {0640U, 0604U, 0620U, 0602U, 0666U}) {
        write("x", mode);
        EXPECT_EQ(refusal().kind, Kind::not_private) << std::oct << mode;
        EXPECT_THAT(refusal().message, HasSubstr("0600"));
    }
}

TEST_F(CredentialsFile, MustBeARegularFile) {
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(refusal().kind, Kind::not_private);  // and does not wait for a writer
    ASSERT_EQ(::unlink(path.c_str()), 0);
    const auto target = folder.path() + "/target";
    std::ofstream(target) << "x";
    ASSERT_EQ(::symlink(target.c_str(), path.c_str()), 0);
    EXPECT_EQ(refusal().kind, Kind::unreadable);
}

TEST_F(CredentialsFile, MustHoldCredentials) {
    for (const auto& text : {std::string(), std::string("nonsense"), std::string(100'000, 'A')}) {
        write(text);
        EXPECT_EQ(refusal().kind, Kind::bad_credentials);
    }
}

}  // namespace
}  // namespace rankexec::test
