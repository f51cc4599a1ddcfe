// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "samples.hpp"

namespace rankexec::wire::test {
namespace {

TEST(Golden, EveryMessageTypeHasGoldenBytes) {
    std::set<std::size_t> types;
    for (const auto& golden : goldens()) types.insert(golden.message.index());
    EXPECT_EQ(types.size(), std::variant_size_v<Message>);
}

TEST(Golden, TypeNumbersNeverChange) {
    constexpr std::string_view kNames[] = {"Hello",
                                           "Initialise",
                                           "Initialised",
                                           "Execute",
                                           "Result",
                                           "Close",
                                           "Attach",
                                           "ParentEvent",
                                           "EventDone",
                                           "AbortTask",
                                           "FireEvent",
                                           "EventHandled",
                                           "ShimHello",
                                           "RankStarted",
                                           "RankNotStarted",
                                           "RankOutput",
                                           "RankExited",
                                           "RankOutputEnd",
                                           "LauncherExited",
                                           "SupervisionEnded",
                                           "RankOutputCredit",
                                           "RankInput",
                                           "SignalRanks",
                                           "EndGroup",
                                           "Supervise",
                                           "LauncherStep",
                                           "ShimSetup",
                                           "RankSignalled",
                                           "RankInputTaken",
                                           "Dismiss",
                                           "ReportStack",
                                           "StackReport",
                                           "ReportTail",
                                           "TailReport",
                                           "MessagePart",
                                           "PartsTaken",
                                           "Received",
                                           "Resume"};
    ASSERT_EQ(std::size(kNames), std::variant_size_v<Message>);
    for (const auto& golden : goldens()) EXPECT_EQ(name_of(golden.message), kNames[golden.message.index()]);
}

TEST(Golden, StructsEncodeToTheGoldenBytes) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        const auto frames = encode(golden_envelope(), golden.message);
        ASSERT_TRUE(frames) << frames.error();
        ASSERT_EQ(frames->size(), golden.tensors.size() + 2);
        EXPECT_EQ(to_hex((*frames)[0].bytes), to_hex(golden_envelope_bytes(golden.message.index() + 1)));
        EXPECT_EQ(to_hex((*frames)[1].bytes), golden.body);
        for (std::size_t index = 0; index < golden.tensors.size(); ++index) {
            EXPECT_EQ(to_hex((*frames)[index + 2].bytes), golden.tensors[index]);
        }
    }
}

TEST(Golden, GoldenBytesDecodeToTheStructs) {
    for (const auto& golden : goldens()) {
        SCOPED_TRACE(name_of(golden.message));
        const auto decoded = decode(frames_of(golden));
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_TRUE(decoded->message == golden.message);
        auto envelope = golden_envelope();
        envelope.version = kVersion;
        envelope.type = static_cast<std::uint16_t>(golden.message.index() + 1);
        EXPECT_EQ(decoded->envelope, envelope);
    }
}

TEST(Golden, EnvelopeAloneCanBeRead) {
    const auto envelope = decode_envelope(golden_envelope_bytes(4));
    ASSERT_TRUE(envelope) << envelope.error().message;
    EXPECT_EQ(envelope->type, 4);
    EXPECT_EQ(envelope->run_id, golden_envelope().run_id);
}

}  // namespace
}  // namespace rankexec::wire::test
