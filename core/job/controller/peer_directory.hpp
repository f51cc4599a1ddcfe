// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// What a user may do beside looking. Who has submitted a job may abort and delete it without these.
enum class Permission : std::uint8_t { submit, abort, remove };
/// "submit", "abort", "delete"
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(Permission permission) noexcept;
/// Reads a list such as "submit,abort"; the error names the word.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::set<Permission>, std::string> permissions_from(std::string_view text);

/// A site or a user that the controller knows by its keys.
struct RANKEXEC_EXPORT EnrolledPeer {
    PublicIdentity identity;   ///< of a site or a user
    std::set<Permission> may;  ///< of a user

    /// "site/NAME" or "user/NAME": what the hub calls it.
    [[nodiscard]] std::string peer() const { return identity.peer(); }
    friend bool operator==(const EnrolledPeer&, const EnrolledPeer&) = default;
};

/// The enrolled sites and users: a file each in a folder that only the controller's user can write. Any thread, any
/// process: a file is there as a whole or not at all.
class RANKEXEC_EXPORT PeerDirectory {
public:
    explicit PeerDirectory(std::filesystem::path folder) : folder_(std::move(folder)) {}

    [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
    /// Makes the folder where it is not there. Refuses a name that is taken, unless `replace`.
    [[nodiscard]] tl::expected<void, std::string> add(const EnrolledPeer& peer, bool replace = false) const;
    /// False when there is none.
    [[nodiscard]] tl::expected<bool, std::string> remove(Role role, const std::string& name) const;
    /// By name, sites first. Files that cannot be read are left out, and named in `problems`.
    [[nodiscard]] std::vector<EnrolledPeer> list(std::vector<std::string>* problems = nullptr) const;

private:
    std::filesystem::path folder_;
};

}  // namespace rankexec::job
