// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {

/// A cgroup (version 2) for one group of ranks: the strongest containment, because its kill reaches
/// every member at once and no fork escapes it. A bonus where the machine allows it; nothing depends
/// on it.
class ControlGroup {
public:
    /// Makes a group below our own. Nothing where cgroup v2 is missing, too old for cgroup.kill, or
    /// not ours to change, as for most ordinary users.
    [[nodiscard]] static std::optional<ControlGroup> create(const std::string& run_id);
    /// The group that another process of our cgroup has made for this run.
    [[nodiscard]] static std::optional<ControlGroup> find(const std::string& run_id);

    /// The folder, for processes to be started in it.
    [[nodiscard]] UniqueFd open() const;
    /// Moves those in that were not started in it, from a short-lived child of ours: the kernel may take tens of
    /// milliseconds, in which no process of the machine can fork or end. What they fork before that stays outside.
    void admit(std::vector<pid_t> pids) const;
    void kill() const;
    /// Removes the group when nothing lives in it any more; false when something does.
    [[nodiscard]] bool remove() const;

    [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

private:
    explicit ControlGroup(std::string folder) : folder_(std::move(folder)) {}
    std::string folder_;
};

}  // namespace rankexec::process
