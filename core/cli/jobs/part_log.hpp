// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "rankexec/core/cli/label_writer.hpp"
#include "rankexec/core/component/component.hpp"

namespace rankexec::cli {

/// What a part's ranks print, as whole lines with their rank, on this process's standard output: the part's log. Any
/// thread.
class PartLog {
public:
    explicit PartLog(std::string launcher) : labels_(std::move(launcher)) {}
    ~PartLog();
    PartLog(const PartLog&) = delete;
    PartLog& operator=(const PartLog&) = delete;

    void add(int rank, wire::OutputStream stream, std::string_view bytes);
    /// A line of this process itself.
    void say(const std::string& line);

private:
    std::mutex mutex_;
    LabelWriter labels_;
};

/// Writes the ranks' metric events to the log.
class MetricLog final : public Component {
public:
    explicit MetricLog(PartLog& log) : log_(log) {}
    void handle_event(const std::string& type, Context& context) override;

private:
    PartLog& log_;
};

}  // namespace rankexec::cli
