// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ends.hpp"
#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(I1_Defaults, OfTheExchanger) {
    const IpcExchangerOptions options;
    EXPECT_EQ(options.send_timeout, seconds(5));
    EXPECT_EQ(options.resend_interval, seconds(2));
    EXPECT_EQ(options.disconnected_after, seconds(60));
    EXPECT_EQ(options.dead_after, seconds(0)) << "none";
    EXPECT_EQ(options.heartbeat_interval, seconds(5));
    EXPECT_EQ(options.acknowledge_timeout, seconds(5));
    options.validate();
}

TEST(I1_Defaults, OfTheAgent) {
    const agent::AttachOptions options;
    EXPECT_EQ(options.submit_timeout, seconds(30));
    EXPECT_EQ(options.connection_timeout, seconds(60));
    EXPECT_EQ(options.resend_interval, seconds(2));
}

std::string refusal_of(const std::function<void(IpcExchangerOptions&)>& change) {
    IpcExchangerOptions options;
    options.agent_id = "a";
    change(options);
    try {
        const IpcExchanger exchanger(options);
    } catch (const ConfigurationError& error) {
        return error.what();
    }
    return "";
}

TEST(I1_Options, ThatContradictEachOtherAreRefusedWithBothValues) {
    EXPECT_EQ(refusal_of([](auto& /*options*/) {}), "");
    EXPECT_THAT(refusal_of([](auto& options) { options.disconnected_after = milliseconds(5000); }),
                AllOf(HasSubstr("disconnected_after is 5000 ms"), HasSubstr("heartbeat_interval is 5000 ms")));
    EXPECT_THAT(refusal_of([](auto& options) { options.dead_after = milliseconds(59'999); }),
                AllOf(HasSubstr("dead_after is 59999 ms"), HasSubstr("disconnected_after is 60000 ms")));
    EXPECT_EQ(refusal_of([](auto& options) { options.dead_after = milliseconds(60'000); }), "");
    EXPECT_THAT(refusal_of([](auto& options) { options.send_timeout = milliseconds(0); }), HasSubstr("send_timeout"));
    EXPECT_THAT(refusal_of([](auto& options) { options.resend_interval = milliseconds(-1); }),
                HasSubstr("resend_interval is -1"));
    EXPECT_THAT(refusal_of([](auto& options) { options.acknowledge_timeout = milliseconds(0); }),
                HasSubstr("acknowledge_timeout"));
    EXPECT_THAT(refusal_of([](auto& options) { options.max_attempts = 0; }), HasSubstr("max_attempts is 0"));
    EXPECT_THAT(refusal_of([](auto& options) { options.address = "gpu7"; }), HasSubstr("gpu7"));
    EXPECT_THAT(refusal_of([](auto& options) { options.address = "gpu7:7000"; }),
                AllOf(HasSubstr("gpu7:7000"), HasSubstr("key_file")));
    EXPECT_THAT(refusal_of([](auto& options) { options.site = "a/b"; }), HasSubstr("slash"));
}

TEST(I1_Options, OfAnAgentThatCannotBeAreRefused) {
    const auto refused = [](const std::function<void(agent::AttachOptions&)>& change) -> std::string {
        agent::AttachOptions options;
        options.id = "a";
        options.base_folder = "/nowhere";
        change(options);
        const auto attached = agent::attach(options);
        EXPECT_FALSE(attached);
        if (attached) return "";
        EXPECT_EQ(kind_of(attached.error()), "configuration");
        return attached.error().message;
    };
    EXPECT_THAT(refused([](auto& options) { options.id = ""; }), HasSubstr("id is empty"));
    EXPECT_THAT(refused([](auto& options) { options.site = "a/b"; }), HasSubstr("slash"));
    EXPECT_THAT(refused([](auto& options) { options.id = "a\n"; }), HasSubstr("control character"));
    EXPECT_THAT(refused([](auto& options) { options.listen = "7000"; }), HasSubstr("HOST:PORT"));
    EXPECT_THAT(refused([](auto& options) { options.listen = "*:65535"; }), HasSubstr("65534"));
    EXPECT_THAT(refused([](auto& options) { options.submit_timeout = milliseconds(0); }), HasSubstr("submit_timeout"));
    EXPECT_THAT(refused([](auto& options) { options.connection_timeout = milliseconds(-1); }),
                HasSubstr("connection_timeout"));
    EXPECT_THAT(refused([](auto& options) { options.base_folder = "here"; }), HasSubstr("absolute"));
    EXPECT_THAT(refused([](auto& options) { options.base_folder = "/" + std::string(60, 'x'); }),
                HasSubstr("too long"));
}

TEST(I1_TcpAddress, IsAHostAndAPort) {
    using exchange::TcpAddress;
    EXPECT_FALSE(TcpAddress::parse("")->given());
    EXPECT_EQ(TcpAddress::parse("gpu7:7000")->to_text(), "gpu7:7000");
    EXPECT_EQ(TcpAddress::parse("*:7000")->host, "");
    EXPECT_EQ(TcpAddress::parse("[::1]:7000")->host, "::1");
    for (const auto* text : {"7000", ":", "a:", "a:0", "a:65535", "a:-1", "a:7000x", "a b:1", "a/b:1", "a:70000"}) {
        EXPECT_FALSE(TcpAddress::parse(text)) << text;
    }
}

}  // namespace
}  // namespace rankexec::test
