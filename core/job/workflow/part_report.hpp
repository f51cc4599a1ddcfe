// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

/// How a part of a job ended, by its own account.
enum class PartOutcome : std::uint8_t {
    success,
    exception,            ///< its workflow failed, or its executor could not go on
    aborted,              ///< it was told to
    configuration_error,  ///< what the bundle says cannot be built; nothing was executed
    unsafe_component,     ///< the bundle wants code that this site does not allow
    launch_failed,        ///< the engine's own failure: launcher, supervision or ranks' programs could not be started
    controller_gone,      ///< nobody of the controller has been there for too long
};
[[nodiscard]] RANKEXEC_EXPORT std::string_view to_string(PartOutcome outcome) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::optional<PartOutcome> part_outcome_from(std::string_view text) noexcept;

/// What the part's process exits with: 0, or 101 to 106 in the order above. Any other code is not from the part itself:
/// it was killed, or something in it called exit().
[[nodiscard]] RANKEXEC_EXPORT int exit_code_of(PartOutcome outcome) noexcept;
[[nodiscard]] RANKEXEC_EXPORT std::optional<PartOutcome> part_outcome_from(int exit_code) noexcept;

/// A series of figures by name: (step, value), in the order in which they came.
using Figures = std::map<std::string, std::vector<std::pair<std::int64_t, double>>, std::less<>>;

/// What a part leaves behind as report.json in its workspace, and tells the controller.
struct RANKEXEC_EXPORT PartReport {
    std::string job;
    std::string participant;
    int incarnation = 1;
    PartOutcome outcome = PartOutcome::success;
    std::string failure;  ///< a sentence for people; empty: none
    std::string detail;   ///< more of it, several lines (Failure::describe())
    Figures figures;
    std::vector<std::string> progress;  ///< the latest kMostProgressKept lines
    std::int64_t tasks = 0;             ///< executed by a site, or given out by the controller part
    std::int64_t late_results = 0;

    static constexpr std::size_t kMostProgressKept = 1000;
    friend bool operator==(const PartReport&, const PartReport&) = default;
};

[[nodiscard]] RANKEXEC_EXPORT Value to_value(const PartReport& report);
/// The error names the field.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<PartReport, std::string> part_report_from(const Value& value);

/// WORKSPACE/report.json, as a whole or not at all.
inline constexpr const char* kReportFile = "report.json";
[[nodiscard]] RANKEXEC_EXPORT tl::expected<void, Failure> write_report(const std::filesystem::path& workspace,
                                                                       const PartReport& report);

}  // namespace rankexec::job
