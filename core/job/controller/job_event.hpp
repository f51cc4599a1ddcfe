// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/job/store/job_store.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// Types of the events of a job, in its history and for the components of the controller's engine.
namespace job_event {
inline constexpr const char* kSubmitted = "job_submitted";
/// Of the engine only, not in the history: a component may set the property "job_veto" to a reason not to run the job,
/// and "job_veto_for_good" to 0 if it may be tried again.
inline constexpr const char* kBeforeCheck = "before_check_resources";
inline constexpr const char* kDeployToServer = "deploy_job_to_server";
inline constexpr const char* kDeployToClient = "deploy_job_to_client";
inline constexpr const char* kDeployed = "job_deployed";
inline constexpr const char* kStarted = "job_started";
inline constexpr const char* kCompleted = "job_completed";
inline constexpr const char* kAborted = "job_aborted";
inline constexpr const char* kRestored = "job_restored";
inline constexpr const char* kPartFailed = "part_failed";
inline constexpr const char* kSiteLeftOut = "site_left_out";
inline constexpr const char* kNotArchived = "workspace_not_archived";
inline constexpr const char* kProgress = "progress";
inline constexpr const char* kFigure = "figure";
}  // namespace job_event

/// Writes it into the job's history and fires it in the engine, with the properties job_id and job_event_text.
RANKEXEC_EXPORT void fire_job_event(Engine& engine, JobStore& store, const std::string& job, const std::string& type,
                                    const std::string& text);

}  // namespace rankexec::job
