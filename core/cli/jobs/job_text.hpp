// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "rankexec/core/job/model/job_record.hpp"
#include "rankexec/core/model/value.hpp"

/// What job commands print for people: text that came from others is made safe for a terminal.
namespace rankexec::cli {

/// How long something took or is ago, in at most two units: "45 s", "3 min 20 s", "2 h 5 min", "3 d 4 h".
[[nodiscard]] std::string span_text(std::chrono::milliseconds span);
/// The first eight digits, which is enough of an id for people and commands.
[[nodiscard]] std::string short_id(const std::string& job);

[[nodiscard]] std::string job_table(const std::vector<job::JobRecord>& jobs, job::WallTime now);
/// `shown`: the body of a reply on topic job_show, of which `record` was read.
[[nodiscard]] std::string job_page(const job::JobRecord& record, const Value& shown, job::WallTime now);
/// "job 0123abcd (digits) completed after 12 s", with the reason if there is one.
[[nodiscard]] std::string end_line(const job::JobRecord& record);
/// The body of a reply on topic overview.
[[nodiscard]] std::string sites_table(const Value& overview);

}  // namespace rankexec::cli
