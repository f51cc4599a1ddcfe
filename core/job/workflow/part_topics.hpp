// SPDX-License-Identifier: Apache-2.0
#pragma once

/// What the parts of a job say to each other and to their controller over the hub. A request's fields are headers of
/// its content; a reply that refuses has a ReturnCode other than ok and says why in failure.message. Parts are called
/// "run/JOB/PARTICIPANT" (peer_of_part()).
namespace rankexec::job::topic {

// ---- from a part to the controller ("controller"), which takes all of these ----------------------

/// {incarnation: integer}. Its executor is initialised, or its workflow runs. Again after every new connection. A
/// site's part says the same to the job's controller part. Reply: {}. To a controller part kSiteLost is then said again
/// for all sites that have ended or were left out: what it was told before it was connected is lost.
inline constexpr const char* kPartReady = "part_ready";
/// Told. {line: text}: for people who watch.
inline constexpr const char* kProgress = "progress";
/// Told. {name: text, step: integer, value: real}.
inline constexpr const char* kFigure = "figure";
/// Of the controller part; tensor "snapshot": uint8, for JobStore::save_snapshot(). Reply when it is durable: {}.
inline constexpr const char* kSaveSnapshot = "save_snapshot";
/// Of the controller part, {}. Reply: tensor "snapshot", none when there is none.
inline constexpr const char* kLoadSnapshot = "load_snapshot";
/// The part is about to end by itself. Body: its report (to_value(PartReport)). Reply: {}; the part waits for it, but
/// not for long.
inline constexpr const char* kPartReport = "part_ended_report";

// ---- from the controller to a part ---------------------------------------------------------------

/// {reason: text}: the job was aborted. Reply at once: {}. The part ends soon after, with outcome "aborted".
inline constexpr const char* kAbortRun = "abort_run";
/// To the controller part. {site: text, why: text, final: boolean}: the site's part is not there; with `final` it has
/// ended, or never started, and does not come back. Reply: {}.
inline constexpr const char* kSiteLost = "site_lost";

// ---- from the controller part to a site's part ---------------------------------------------------

/// {task: text, id: text, number: integer, covered: integer, incarnation: integer, stamp: integer, open: array of text,
/// headers: map of the input's own}, body and tensors of the input: task_message.hpp. The reply is that of the
/// executor. The same id again is the same task, which is executed once; `open` are the ids that the controller part
/// still wants from this site.
inline constexpr const char* kTask = "task";
/// Told. {id: text, reason: text}: nobody wants its result any more.
inline constexpr const char* kAbortTask = "abort_task";
/// {}. Reply: {ready: boolean}. The controller part asks it after every new connection, since what a site said before
/// that is lost.
inline constexpr const char* kPartState = "part_state";
/// {reason: text, aborted: boolean}: the run is over. Reply at once: {}. The part ends, successfully or as aborted.
inline constexpr const char* kEndPart = "end_part";

}  // namespace rankexec::job::topic
