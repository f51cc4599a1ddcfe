// SPDX-License-Identifier: Apache-2.0
// PROTOCOL.md is normative: what it says of numbers, names and fields is what the codec does.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "rankexec/ipc/wire/stream_framing.hpp"
#include "samples.hpp"

namespace rankexec::wire::test {
namespace {

std::string content_of(const std::string& file) {
    std::ifstream in(std::string(RANKEXEC_SOURCE_DIR) + "/ipc/wire/" + file);
    EXPECT_TRUE(in) << file;
    std::ostringstream content;
    content << in.rdbuf();
    return content.str();
}

std::vector<std::string> all_matches(const std::string& text, const std::regex& pattern) {
    std::vector<std::string> found;
    for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) {
        found.push_back((*match)[1]);
    }
    return found;
}

/// Field names by message, from the table that the codec is made of.
std::vector<std::string> coded_fields(const std::string& message) {
    static const auto kTable = content_of("fields.hpp");
    const auto begin = kTable.find("struct Fields<" + message + "> {");
    if (begin == std::string::npos) return {"no such struct: " + message};
    const auto text = kTable.substr(begin, kTable.find("\n};", begin) - begin);
    const auto list = text.find("std::tie(");
    const auto end = text.find(')', list);
    return all_matches(text.substr(list + 9, end - list - 9), std::regex(R"((\w+))"));
}

TEST(ProtocolDocument, ListsEveryMessageWithItsNumberAndFields) {
    std::map<std::size_t, std::string> documented;
    std::istringstream lines(content_of("PROTOCOL.md"));
    const std::regex row(R"(\| (\d+) \| (\w+) \| [PRSG, ]+ to [PRSG, ]+ \| ([^|]*) \|)");
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (!std::regex_match(line, match, row)) continue;
        EXPECT_TRUE(documented.emplace(std::stoul(match[1]), match[2]).second) << line;
        EXPECT_EQ(all_matches(match[3], std::regex(R"((\w+):)")), coded_fields(match[2])) << line;
    }
    EXPECT_EQ(documented.size(), std::variant_size_v<Message>);
    for (const auto& golden : goldens()) {
        EXPECT_EQ(documented[golden.message.index() + 1], name_of(golden.message));
    }
}

TEST(ProtocolDocument, ExampleIsWhatTheCodecMakes) {
    Envelope envelope{.run_id = "0123456789abcdef0123456789abcdef", .incarnation = 1, .sequence = 5};
    const auto frames = encode(envelope, SignalRanks{20});
    ASSERT_TRUE(frames) << frames.error();
    auto document = content_of("PROTOCOL.md");
    const auto begin = document.find("    02000000 ");
    ASSERT_NE(begin, std::string::npos);
    std::string hex;
    std::istringstream lines(document.substr(begin));
    for (std::string line; std::getline(lines, line);) {
        // Hexadecimal digits up to the explanation, which two spaces or the line's end precede.
        const auto start = line.find_first_not_of(' ');
        for (const char character : line.substr(start, line.find("  ", start) - start)) {
            if (character != ' ') hex += character;
        }
    }
    EXPECT_EQ(to_hex(frame_for_stream(*frames)), hex);
}

TEST(ProtocolDocument, DefaultLimitsAreThoseOfTheCode) {
    const auto document = content_of("PROTOCOL.md");
    const Limits limits;
    const auto mebibytes = [](std::size_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; };
    for (const auto& row :
         {"| envelope | " + std::to_string(kEnvelopeBytes) + " bytes |",
          "| body | " + mebibytes(limits.body_bytes) + " |",
          "| message | " + std::to_string(limits.message_bytes >> 30U) + " GiB |",
          "| frames | " + std::to_string(limits.frames) + " |", "| depth | " + std::to_string(limits.depth) + " |",
          "| text | " + mebibytes(limits.text_bytes) + " |",
          "| dimensions | " + std::to_string(limits.dimensions) + " |"}) {
        EXPECT_NE(document.find(row), std::string::npos) << row;
    }
}

}  // namespace
}  // namespace rankexec::wire::test
