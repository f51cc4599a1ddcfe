// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// What controller, sites and users say to each other over the hub. A request's fields are headers of its content; a
/// reply that refuses has a ReturnCode other than ok and says why in failure.message. Large contents travel in pieces
/// of at most kChunkBytes.
namespace rankexec::job::topic {

inline constexpr std::size_t kChunkBytes = std::size_t{1} << 20U;
/// The largest timeout_ms; a larger one counts as this.
inline constexpr std::int64_t kLongestWaitMs = 3'600'000;

// ---- from a user ("user/NAME") to the controller ------------------------------------------------

/// {token: text, digest: text, bytes: integer, signature: text}; token may be empty. Reply: {job: text} when that
/// token has a job already; else {upload: text, have: integer}, the bytes that an earlier attempt has left there.
inline constexpr const char* kSubmitBegin = "job_submit_begin";
/// {upload: text, offset: integer}, body: bytes. Reply: {have: integer}.
inline constexpr const char* kSubmitChunk = "job_submit_chunk";
/// {upload: text}. Checks size, digest, signature and definition. Reply: {job: text}.
inline constexpr const char* kSubmitEnd = "job_submit_end";
/// {statuses: array of text}, may be absent. Reply body: array of job records (to_value).
inline constexpr const char* kList = "job_list";
/// {job: text}: an id, or a prefix of one that is unique. Reply body: {record, events: [{at, type, text}], progress:
/// [text], figures: {name: [[step, value]]}, participants: [{name, state, detail}]}.
inline constexpr const char* kShow = "job_show";
/// {job: text, version: integer, timeout_ms: integer}: answered when the job's version is another one, it has ended, or
/// that time is over. Reply: {ended: boolean}, true when it is final and nothing of it is under way any more; body: its
/// record.
inline constexpr const char* kWait = "job_wait";
/// {job: text, participant: text, offset: integer, timeout_ms: integer}: answered when there is more than offset, the
/// part has ended, or that time is over. Reply: {ended: boolean}, body: bytes from offset on.
inline constexpr const char* kLogs = "job_logs";
/// {job: text, reason: text}. Reply: {status: text, was: text}.
inline constexpr const char* kAbort = "job_abort";
/// {job: text}. Refused while it is active.
inline constexpr const char* kDelete = "job_delete";
/// {job: text, offset: integer}. Reply: {bytes: integer}, the whole size; body: bytes from offset on. The archived
/// workspace, a tar.gz.
inline constexpr const char* kDownload = "job_download";
/// {}. Reply body: {sites: [{name, connected, resources, jobs: [text]}], jobs: {status: count}}.
inline constexpr const char* kOverview = "overview";

// ---- from the controller to a site ("site/NAME") ------------------------------------------------

/// {job: text}, body: a need (to_value(ResourceNeed)). Reply: {token: text}.
inline constexpr const char* kCheckResources = "check_resources";
/// {token: text}. Reply: {}, also for an unknown token.
inline constexpr const char* kCancelReservation = "cancel_reservation";
/// {job: text, digest: text, bytes: integer, signature: text, token: text}. The site fetches the bundle by
/// kBundleChunk, checks it against digest and the controller's signature, and unpacks it. Again is success. Renews the
/// reservation for as long as it takes.
inline constexpr const char* kDeploy = "deploy";
/// {job: text, token: text, run: text, setup: text}: token is the reservation's, run names the start (the same again is
/// success without a second process), setup is PartSetup::to_text() without workspace and gpus, which the site fills
/// in.
inline constexpr const char* kStartPart = "start_part";
/// {job: text, reason: text}: in band first, then by force. Replies when the part has ended, or after its time.
inline constexpr const char* kAbortPart = "abort_part";
/// {}. Reply body: [{job, run, deployment: integer, state: "deployed" | "running" | "ended", kind, detail}].
inline constexpr const char* kPartStatus = "part_status";
/// {job: text, offset: integer, bytes: integer, timeout_ms: integer}; a negative offset counts from the end. Answered
/// when there is more than offset, the part has ended, or that time (none: at once) is over. Reply: {ended: boolean},
/// body: bytes.
inline constexpr const char* kReadLog = "read_log";
/// {job: text, deployment: integer}: ends what runs, frees what it has, removes its workspace. Again is success. With a
/// deployment only that one, and nothing when the job was deployed again since: whoever asks cannot know.
inline constexpr const char* kForgetJob = "forget_job";

// ---- from a site to the controller --------------------------------------------------------------

/// Body: {resources: ResourceState, backend: text}. At once after connecting, and on every change.
inline constexpr const char* kSiteState = "site_state";
/// {job: text, run: text, kind: text, detail: text}.
inline constexpr const char* kPartEnded = "part_ended";
/// {job: text, offset: integer}. Reply body: bytes of the bundle from offset on, at most kChunkBytes.
inline constexpr const char* kBundleChunk = "bundle_chunk";

}  // namespace rankexec::job::topic
