// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/launcher.hpp"

namespace rankexec {

std::string_view to_string(RunStatus status) noexcept {
    switch (status) {
        case RunStatus::not_running: return "not running";
        case RunStatus::running: return "running";
        case RunStatus::success: return "success";
        case RunStatus::failed: return "failed";
    }
    return "unknown";
}

Launcher::~Launcher() = default;

tl::expected<void, Failure> Launcher::initialise(Context& /*context*/) { return {}; }
bool Launcher::on_change(std::function<void()> /*callback*/) { return false; }
bool Launcher::reaches_other_hosts() const { return false; }
Launcher::Milliseconds Launcher::longest_stop() const { return Milliseconds(0); }
ProgramReport Launcher::report() const { return {}; }

}  // namespace rankexec
