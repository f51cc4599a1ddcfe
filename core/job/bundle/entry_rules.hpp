// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"

/// What may be in a bundle, by names alone: whoever packs and whoever unpacks keep to it.
namespace rankexec::job {

enum class EntryKind : std::uint8_t { file, folder, link };

/// Without "./" at its beginning and "/" at its end; empty for the folder itself. Tools write these.
[[nodiscard]] std::string_view trimmed(std::string_view path);

/// Why it cannot be the path of an entry; empty: it can. Paths are relative, of names separated by single slashes,
/// none of them "." or "..", without control characters, of bounded length and depth.
[[nodiscard]] std::string path_error(std::string_view path);

/// Why a link at `path` may not have this target; empty: it may. It stays in the bundle by its text alone: relative,
/// with ".." at its beginning only, and no more of them than folders above it. The folders above it are no links
/// (EntryTree), so the ".." lead to where they seem to; and what follows them never leads upwards, however many links
/// are on the way.
[[nodiscard]] std::string target_error(std::string_view path, std::string_view target);

/// The entries of one bundle: refuses those that are there already, those below a file or link, and too many.
class EntryTree {
public:
    explicit EntryTree(std::int64_t most) : most_(most) {}

    /// Why it cannot be added; empty: it was. Folders above it count as entries.
    [[nodiscard]] std::string add(std::string_view path, EntryKind kind);
    [[nodiscard]] bool has_file(std::string_view path) const;
    [[nodiscard]] std::int64_t size() const noexcept { return static_cast<std::int64_t>(nodes_.size()); }

private:
    enum class Node : std::uint8_t { implied_folder, folder, file, link };
    std::map<std::string, Node, std::less<>> nodes_;
    std::int64_t most_;
};

}  // namespace rankexec::job
