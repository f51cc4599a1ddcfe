// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

/// Bundles on their way from users: each a file, which a lost connection does not lose, and another attempt goes on
/// with. One thread.
class RANKEXEC_EXPORT Uploads {
public:
    /// What is there from before is removed: nobody knows any more whose it was.
    Uploads(std::filesystem::path folder, std::int64_t most_bytes);
    ~Uploads();
    Uploads(const Uploads&) = delete;
    Uploads& operator=(const Uploads&) = delete;

    struct Upload {
        std::string user;
        std::string token;
        std::string digest;
        std::int64_t bytes = 0;
        std::string signature;  ///< as to_hex() makes it
        std::int64_t have = 0;
        std::filesystem::path file;
        std::uint64_t last_used = 0;
    };
    using Error = std::string;  ///< for people

    /// The id: the same for the same user, token and digest. Refuses what is larger than it may be. A user has 16 at
    /// most: then the one that was used the longest ago is removed.
    [[nodiscard]] tl::expected<std::string, Error> begin(Upload upload);
    [[nodiscard]] std::int64_t have(const std::string& id) const;
    /// Appends; a piece that is there already is nothing. The bytes that are there then.
    [[nodiscard]] tl::expected<std::int64_t, Error> add(const std::string& user, const std::string& id,
                                                        std::int64_t offset, const Bytes& piece);
    /// When all of it is there: hands the upload over, whose file is the caller's then.
    [[nodiscard]] tl::expected<Upload, Error> take(const std::string& user, const std::string& id);

private:
    void make_room(const std::string& user);
    void forget(const std::string& id);
    [[nodiscard]] tl::expected<Upload*, Error> find(const std::string& user, const std::string& id);

    const std::filesystem::path folder_;
    const std::int64_t most_bytes_;
    std::map<std::string, Upload> uploads_;
    std::uint64_t uses_ = 0;
    std::map<std::string, std::string> ids_;  ///< by user, token and digest
};

}  // namespace rankexec::job
