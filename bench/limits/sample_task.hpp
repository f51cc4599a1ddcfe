// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/ipc/wire/codec.hpp"

/// The task that rows with a codec send: 4 headers, a context of 10 properties; and its answer.
namespace bench {

/// Frame by frame: u32 length, bytes.
[[nodiscard]] inline std::vector<std::byte> joined(const std::vector<rankexec::wire::Frame>& frames) {
    std::vector<std::byte> bytes;
    for (const auto& frame : frames) {
        const auto size = static_cast<std::uint32_t>(frame.bytes.size());
        const auto* begin = reinterpret_cast<const std::byte*>(&size);
        bytes.insert(bytes.end(), begin, begin + sizeof size);
        bytes.insert(bytes.end(), frame.bytes.begin(), frame.bytes.end());
    }
    return bytes;
}

[[nodiscard]] inline rankexec::wire::Message parsed(std::span<const std::byte> bytes) {
    std::vector<rankexec::wire::Frame> frames;
    while (bytes.size() >= sizeof(std::uint32_t)) {
        std::uint32_t size = 0;
        std::memcpy(&size, bytes.data(), sizeof size);
        frames.push_back({bytes.subspan(sizeof size, size), nullptr});
        bytes = bytes.subspan(sizeof size + size);
    }
    auto decoded = rankexec::wire::decode(frames);
    if (!decoded) std::abort();
    return std::move(decoded->message);
}

[[nodiscard]] inline rankexec::wire::Envelope sample_envelope(std::uint64_t sequence) {
    rankexec::wire::Envelope envelope;
    envelope.run_id = "0123456789abcdef0123456789abcdef";
    envelope.incarnation = 1;
    envelope.sequence = sequence;
    return envelope;
}

[[nodiscard]] inline rankexec::wire::Execute sample_task(std::uint64_t id, int headers = 4) {
    rankexec::wire::Execute task;
    task.task_id = id;
    task.task = "train";
    task.results = rankexec::wire::ResultsWanted::all;
    for (int index = 0; index < 10; ++index) task.context["property_" + std::to_string(index)].value = index;
    for (int index = 0; index < headers; ++index) {
        task.input.headers["header_" + std::to_string(index)] = "value " + std::to_string(index);
    }
    return task;
}

[[nodiscard]] inline std::vector<std::byte> task_bytes(std::uint64_t id) {
    static auto task = sample_task(0);
    task.task_id = id;
    return joined(*rankexec::wire::encode(sample_envelope(id), task));
}

[[nodiscard]] inline rankexec::wire::Execute task_in(std::span<const std::byte> bytes) {
    return std::get<rankexec::wire::Execute>(parsed(bytes));
}

[[nodiscard]] inline std::vector<std::byte> answer_of(rankexec::wire::Execute task, bool data) {
    rankexec::wire::Result result;
    result.task_id = task.task_id;
    if (data) result.reply = std::move(task.input);
    return joined(*rankexec::wire::encode(sample_envelope(task.task_id), result));
}

[[nodiscard]] inline bool is_answer(std::span<const std::byte> bytes, std::uint64_t id) {
    return std::get<rankexec::wire::Result>(parsed(bytes)).task_id == id;
}

}  // namespace bench
