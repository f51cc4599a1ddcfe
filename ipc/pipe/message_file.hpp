// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/wire/codec.hpp"

/// One message in one file, and the names of such files. PROTOCOL.md in this folder, section "Files". Any thread.
namespace rankexec::pipe {

/// Writes all frames to a descriptor of an empty file. Fails with what the system says.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<void, std::string> write_message_file(
    int fd, const std::vector<wire::Frame>& frames);

/// The frames in a file, which share one block of memory. Fails when it is no regular file, larger than the limits,
/// truncated, or not ours; nothing is read before its size was judged.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::vector<wire::Frame>, std::string> read_message_file(
    int fd, const wire::Limits& limits);

/// Names that sort as the messages were sent: nanoseconds since 1970, of one sender never twice; a count, for people;
/// and random digits, so that a name is never used again.
class RANKEXEC_EXPORT MessageFileNames {
public:
    /// What comes next sorts after that name, if it is one.
    void after(std::string_view name);
    [[nodiscard]] std::string next();

private:
    std::uint64_t last_ = 0;
    std::uint64_t count_ = 0;
};

/// Whether it is one of those names.
[[nodiscard]] RANKEXEC_EXPORT bool is_message_file_name(std::string_view name) noexcept;

/// The one name of heartbeats, of which the next replaces one that was not taken.
inline constexpr std::string_view kHeartbeatName = "heartbeat";

}  // namespace rankexec::pipe
