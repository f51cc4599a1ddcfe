// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec::cli {

/// What people look at first in a job's result folder: summary.txt, a table of all figures by step, and what the run
/// said; and for each kind of figure a plot, e.g. accuracy.svg with "accuracy", "accuracy.a", "accuracy.a.alone".
[[nodiscard]] tl::expected<void, Failure> write_summary(const std::filesystem::path& folder,
                                                        const std::string& job_name, const job::PartReport& report);

/// The table alone; empty when there are no figures.
[[nodiscard]] std::string format_figures(const job::Figures& figures);

}  // namespace rankexec::cli
