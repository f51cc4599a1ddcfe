// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "rankexec/core/job/bundle/archive_handle.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/bundle/entry_rules.hpp"

namespace rankexec::job {

/// One entry of a bundle, after it was found harmless.
struct BundleEntry {
    std::string path;
    EntryKind kind = EntryKind::file;
    bool executable = false;
    std::int64_t size = 0;
    std::string target;  ///< of a link
};

/// What a reader hands a bundle's entries to, one after the other. A Failure ends the reading.
class EntrySink {
public:
    virtual ~EntrySink() = default;
    virtual Outcome begin(const BundleEntry& entry) = 0;
    /// A part of a file's content. Gaps between parts are zeros.
    virtual Outcome data(std::span<const std::byte> part, std::int64_t offset) = 0;
    virtual Outcome end() = 0;
};

/// Reads all of it; refuses what unpack_bundle() says. `tree` gets its entries, and has their limit.
[[nodiscard]] Outcome read_bundle(const std::filesystem::path& archive, const BundleLimits& limits, EntryTree& tree,
                                  EntrySink& sink);

}  // namespace rankexec::job
