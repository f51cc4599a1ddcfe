// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/model/signal.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::cli {

/// `rankexec job-part`, the process of one part of a job, is told what to do in kPartVariable and leaves report.json in
/// its workspace.

/// The client that connects this part to its controller. Not started. Throws ConfigurationError.
[[nodiscard]] std::unique_ptr<hub::HubClient> make_part_client(const job::PartSetup& setup,
                                                               std::function<void()> on_connected,
                                                               std::function<void(const std::string& why)> on_lost);

/// Tells the controller, if it is there, and closes the end.
void send_report(hub::HubClient& client, const job::PartReport& report);

/// The two kinds of part, each from its setup to its report. `abort` is triggered when the process is asked to end.
/// Throw ConfigurationError and UnsafeComponent before anything was started.
[[nodiscard]] job::PartReport run_controller_part(const job::PartSetup& setup, const Signal& abort);
[[nodiscard]] job::PartReport run_site_part(const job::PartSetup& setup, const Signal& abort);

/// A report with what every one has.
[[nodiscard]] job::PartReport empty_report(const job::PartSetup& setup);

}  // namespace rankexec::cli
