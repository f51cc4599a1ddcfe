// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/subprocess_launcher.hpp"

#include <utility>

namespace rankexec {
namespace {

/// The program is a group of one rank, which the guardian starts itself.
GroupOptions group_of(const SubprocessLauncherOptions& options) {
    GroupOptions group;
    group.program = options.command;
    group.environment = options.environment;
    group.directory = options.directory;
    group.grace = options.grace;
    group.log_directory = options.log_directory;
    group.containment = options.containment;
    return group;
}

}  // namespace

SubprocessLauncher::SubprocessLauncher(SubprocessLauncherOptions options)
    : GroupProgramLauncher(options, group_of(options), false) {}

}  // namespace rankexec
