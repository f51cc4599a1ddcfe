// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "rankexec/core/executor/outside/group_program_launcher.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec {

struct SubprocessLauncherOptions : LaunchedProgramOptions {
    std::vector<std::string> command;      ///< argv, no shell; argv[0] is searched in PATH
    std::vector<std::string> environment;  ///< NAME=value, added to ours
    /// Working directory; empty: the text property `app_directory` of the run's context, else ours.
    std::string directory;
    Milliseconds grace{5'000};  ///< between terminating the program (SIGTERM) and killing it
    std::string log_directory;  ///< rank-0.out and rank-0.err; empty: none
    wire::Containment containment = wire::Containment::automatic;
};

/// Launches a program on this host, supervised by a guardian: when it is stopped, or we are gone, every descendant of
/// it is ended too. Its standard input is empty.
class RANKEXEC_EXPORT SubprocessLauncher final : public GroupProgramLauncher {
public:
    /// Throws ConfigurationError. Starts nothing.
    explicit SubprocessLauncher(SubprocessLauncherOptions options);
};

}  // namespace rankexec
