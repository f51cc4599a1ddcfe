// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "rankexec/core/process/process_table.hpp"

namespace rankexec::process {

/// How the processes of a group are recognised, whatever they did to hide.
struct Belonging {
    pid_t ancestor = 0;                       ///< every living descendant of this process belongs
    std::vector<std::string> marks;           ///< so does whoever was started with all of these NAME=value
    std::vector<std::string> control_groups;  ///< and whoever is in one of these cgroup folders
};

struct Found {
    std::vector<ProcessInfo> processes;
    bool uncertain = false;  ///< a young process without environment: look again soon
};

/// Every living process that belongs, this one and `excepted` left out.
[[nodiscard]] Found find_processes(const Belonging& belonging, const std::set<pid_t>& excepted = {});

}  // namespace rankexec::process
