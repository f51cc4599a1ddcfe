// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <stdexcept>

#include "rankexec/ipc/pipe/pipe_codec.hpp"

namespace rankexec {
namespace {

using ::testing::HasSubstr;

const std::string kSession(32, 'a');

Shareable with_everything() {
    Shareable content;
    content.headers["round"] = 3;
    content.body["loss"] = 0.25;
    const std::vector<float> elements{1, 2, 3, 4, 5, 6};
    content.tensors.emplace("weights", Tensor::copy_of<float>(elements, {2, 3}));
    content.tensors.emplace("none", Tensor::copy_of<float>(std::span(elements).first(0), {0}));
    return content;
}

tl::expected<PipeMessage, std::string> there_and_back(const PipeMessage& message) {
    const auto frames = pipe::to_frames(kSession, pipe::encode(message).value());
    const auto envelope = pipe::decode_envelope(frames);
    if (!envelope) return tl::unexpected(envelope.error());
    EXPECT_EQ(envelope->session, kSession);
    return pipe::decode_message(*envelope, frames);
}

TEST(L1_PipeMessage, ARequestHasAUniqueIdAndAReplyNamesIt) {
    std::set<std::string> ids;
    for (int count = 0; count < 1000; ++count) ids.insert(PipeMessage::request("train", {}).id);
    EXPECT_EQ(ids.size(), 1000U);
    const auto request = PipeMessage::request("train", {});
    const auto reply = PipeMessage::reply_to(request, {});
    EXPECT_EQ(request.kind, PipeMessage::Kind::request);
    EXPECT_TRUE(request.request_id.empty());
    EXPECT_EQ(reply.kind, PipeMessage::Kind::reply);
    EXPECT_EQ(reply.request_id, request.id);
    EXPECT_EQ(reply.topic, "train");
    EXPECT_NE(reply.id, request.id);
}

TEST(L1_PipeMessage, TopicsAreLettersDigitsAndUnderscores) {
    for (const char* topic : {"train", "A9_", "0"}) EXPECT_NO_THROW((void)PipeMessage::request(topic, {})) << topic;
    EXPECT_NO_THROW((void)PipeMessage::request(std::string(64, 'x'), {}));
    for (const char* topic : {"", "a-b", "a b", "../x", "\xc3\xa4", "a/b", "a\n"}) {
        EXPECT_THROW((void)PipeMessage::request(topic, {}), std::invalid_argument) << topic;
    }
    EXPECT_THROW((void)PipeMessage::request(std::string(65, 'x'), {}), std::invalid_argument);
    EXPECT_THROW((void)PipeMessage::request(std::string("a\0", 2), {}), std::invalid_argument);
}

TEST(L1_PipeMessage, ReservedTopicsAreThePipesOwn) {
    for (const auto topic : {kAbortTopic, kEndTopic, kHeartbeatTopic, kPeerGoneTopic}) {
        EXPECT_TRUE(is_reserved_topic(topic));
        EXPECT_THROW((void)PipeMessage::request(std::string(topic), {}), std::invalid_argument) << topic;
    }
    EXPECT_THROW((void)PipeMessage::reply_to(PipeMessage::end("done"), {}), std::invalid_argument);
    EXPECT_TRUE(PipeMessage::abort("no memory").is_status());
    EXPECT_EQ(PipeMessage::abort("no memory").reason(), "no memory");
    EXPECT_TRUE(PipeMessage::end("").is_status());
    EXPECT_TRUE(PipeMessage::peer_gone("").is_status());
    EXPECT_FALSE(PipeMessage::heartbeat().is_status());
    EXPECT_TRUE(PipeMessage::heartbeat().is_heartbeat());
    EXPECT_EQ(PipeMessage::request("train", {}).reason(), "");
}

TEST(L1_PipeMessage, ArrivesAsItWasSent) {
    const auto request = PipeMessage::request("train", with_everything());
    const auto reply = PipeMessage::reply_to(request, with_everything());
    for (const auto& message : {request, reply, PipeMessage::abort("why"), PipeMessage::heartbeat()}) {
        const auto decoded = there_and_back(message);
        ASSERT_TRUE(decoded) << decoded.error();
        EXPECT_EQ(*decoded, message);
    }
}

TEST(L1_PipeMessage, WhatIsNoMessageIsNotEncoded) {
    auto message = PipeMessage::request("train", {});
    message.topic = "../../etc";
    EXPECT_THAT(pipe::encode(message).error(), HasSubstr("letters, digits and _"));
    message = PipeMessage::request("train", {});
    message.id = "1";
    EXPECT_THAT(pipe::encode(message).error(), HasSubstr("32 hexadecimal digits"));
    message = PipeMessage::reply_to(PipeMessage::request("train", {}), {});
    message.request_id.clear();
    EXPECT_THAT(pipe::encode(message).error(), HasSubstr("names no request"));
    EXPECT_THAT(pipe::encode(PipeMessage::peer_gone("")).error(), HasSubstr("never sent"));
    wire::Limits limits;
    limits.message_bytes = 16;
    EXPECT_THAT(pipe::encode(PipeMessage::request("train", with_everything()), limits).error(), HasSubstr("limit"));
}

/// An envelope's bytes with one text in place of another of the same length.
std::vector<std::byte> replaced(const wire::Frame& frame, std::string_view old, std::string_view fresh) {
    std::string bytes(reinterpret_cast<const char*>(frame.bytes.data()), frame.bytes.size());
    bytes.replace(bytes.find(old), old.size(), fresh);
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    return {begin, begin + bytes.size()};
}

TEST(L1_PipeMessage, ForeignEnvelopesAreRefused) {
    const auto request = PipeMessage::request("train", {});
    const auto frames = pipe::to_frames(kSession, pipe::encode(request).value());
    const auto refused = [&](std::string_view old, std::string_view fresh) {
        const auto bytes = replaced(frames[0], old, fresh);
        const auto decoded = pipe::decode_envelope(std::vector<wire::Frame>{{bytes, nullptr}, frames[1]});
        return decoded ? "taken" : decoded.error();
    };
    EXPECT_THAT(refused("train", "../.."), HasSubstr("letters, digits and _"));
    EXPECT_THAT(refused(request.id, std::string(32, '/')), HasSubstr("32 hexadecimal digits"));
    EXPECT_THAT(refused(kSession, std::string(32, 'g')), HasSubstr("session"));
    EXPECT_THAT(refused(std::string("\x97\x00\x01", 3), std::string("\x97\x09\x01", 3)), HasSubstr("version 9"));
    EXPECT_THAT(refused(std::string("\x97\x00\x01", 3), std::string("\x97\x00\x63", 3)), HasSubstr("type 99"));
    EXPECT_FALSE(pipe::decode_envelope({}));
    const auto gone = pipe::to_frames(
        kSession, pipe::EncodedMessage{PipeMessage::Kind::request, std::string(kPeerGoneTopic), request.id, {}, {}});
    EXPECT_THAT(pipe::decode_envelope(gone).error(), HasSubstr("never sent"));
}

TEST(L1_PipeMessage, AnyBytesGiveAMessageOrAnError) {
    const auto frames =
        pipe::to_frames(kSession, pipe::encode(PipeMessage::request("train", with_everything())).value());
    std::mt19937 random(1);
    for (int round = 0; round < 20'000; ++round) {
        std::vector<std::vector<std::byte>> copies;
        std::vector<wire::Frame> hostile;
        for (const auto& frame : frames) copies.emplace_back(frame.bytes.begin(), frame.bytes.end());
        for (int change = 0; change < 3; ++change) {
            auto& bytes = copies[random() % copies.size()];
            if (bytes.empty()) continue;
            if (random() % 4 == 0) {
                bytes.resize(random() % bytes.size());
            } else {
                bytes[random() % bytes.size()] = static_cast<std::byte>(random());
            }
        }
        for (const auto& bytes : copies) hostile.push_back({bytes, nullptr});
        if (random() % 8 == 0) hostile.resize(random() % hostile.size());
        const auto envelope = pipe::decode_envelope(hostile);
        if (!envelope) continue;
        const auto decoded = pipe::decode_message(*envelope, hostile);
        if (decoded) {
            EXPECT_FALSE(topic_error(decoded->topic));
        } else {
            EXPECT_FALSE(decoded.error().empty());
        }
    }
}

}  // namespace
}  // namespace rankexec
