// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec::exchange {

/// Who is attached to: an agent's name is unique at its site, and a site's in its user's eyes.
struct RANKEXEC_EXPORT AgentName {
    std::string site;
    std::string id;

    /// `SITE/ID`, for people and the command line.
    [[nodiscard]] std::string to_text() const { return site + "/" + id; }
    [[nodiscard]] static tl::expected<AgentName, std::string> parse(std::string_view text);
    /// What is wrong with it; nothing when it is fine. Both parts: 1 to 256 bytes of UTF-8 without control characters;
    /// no slash in the site.
    [[nodiscard]] std::optional<std::string> error() const;

    friend bool operator==(const AgentName&, const AgentName&) = default;
};

/// Where an agent and its executors find each other on one host: a private folder whose path follows from the agent's
/// name, so that it is the same after a restart of either. PROTOCOL.md, section 1.
struct RANKEXEC_EXPORT MeetingPlace {
    std::string folder;  ///< absolute, short enough for the sockets in it
    Secret key;          ///< that both share
};

/// The folder of that agent below `base`, an absolute path; empty: below XDG_RUNTIME_DIR, else in /tmp. Makes nothing.
/// Fails when the path would be too long for sockets. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, std::string> meeting_folder(const AgentName& name,
                                                                                    const std::string& base = {});

/// Makes folder and key as far as they are missing, and reads the key. `key_file`: a key that lies elsewhere; it is
/// made too, if `make_key`. Refuses what belongs to another user or is open to others. Any thread, any number of
/// processes at the same time: all get the same key.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<MeetingPlace, std::string> open_meeting_place(const AgentName& name,
                                                                                         const std::string& base,
                                                                                         const std::string& key_file,
                                                                                         bool make_key = true);

/// Says that an agent lives at a place, for as long as this and the process do. A lock of the process, so that children
/// that it has forked do not hold the place when it is gone.
class RANKEXEC_EXPORT Occupation {
public:
    /// Fails when an agent lives there already, naming its pid. Any thread.
    [[nodiscard]] static tl::expected<Occupation, std::string> begin(const MeetingPlace& place, const AgentName& name);
    ~Occupation();
    Occupation(Occupation&& other) noexcept : path_(std::exchange(other.path_, {})), file_(std::move(other.file_)) {}
    Occupation& operator=(Occupation&&) = delete;

private:
    Occupation(std::string path, UniqueFd file) : path_(std::move(path)), file_(std::move(file)) {}
    std::string path_;
    UniqueFd file_;
};

}  // namespace rankexec::exchange
