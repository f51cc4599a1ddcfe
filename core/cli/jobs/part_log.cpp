// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/part_log.hpp"

#include <unistd.h>

#include <cerrno>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::cli {
namespace {

/// A log that cannot be written loses lines, not the run.
void write_all(std::string_view text) {
    while (!text.empty()) {
        const auto count = ::write(STDOUT_FILENO, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace

PartLog::~PartLog() { write_all(labels_.finish()); }

void PartLog::add(int rank, wire::OutputStream stream, std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    write_all(labels_.add(rank, stream, bytes));
}

void PartLog::say(const std::string& line) {
    const std::lock_guard lock(mutex_);
    write_all(labels_.interrupt() + line + "\n");
}

void MetricLog::handle_event(const std::string& type, Context& context) {
    if (type != "metric") return;
    const auto rank = context.integer_or(property::kFromRank, -1);
    const auto figures = context.get("metric");
    if (rank >= 0 && figures) log_.say("rank " + std::to_string(rank) + " metric " + to_json(*figures));
}

}  // namespace rankexec::cli
