// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/job/model/resources.hpp"

namespace rankexec::job {

/// What a site remembers of its part of a job, over its own restarts.
struct PartRecord {
    enum class Stage : std::uint8_t { deployed, running, ended };
    std::string job;
    std::string digest;  ///< of the bundle that is unpacked
    Stage stage = Stage::deployed;
    std::string run;                ///< of the start; empty: none
    std::string kind;               ///< how it ended, as to_string(RunEnd::Kind)
    std::string detail;             ///< likewise, for people
    std::vector<std::string> gpus;  ///< that it has
    ResourceNeed need;

    [[nodiscard]] std::string_view stage_name() const noexcept;
    /// FOLDER/state.toml, as a whole or not at all; readable by its owner alone.
    [[nodiscard]] tl::expected<void, std::string> save(const std::filesystem::path& folder) const;
    [[nodiscard]] static tl::expected<PartRecord, std::string> load(const std::filesystem::path& folder);
};

}  // namespace rankexec::job
