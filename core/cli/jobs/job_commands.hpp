// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// The commands of users: they ask a controller. And those that make sites and users known to it.
namespace rankexec::cli {

/// Who asks, and whom. docs/cli.md says where an identity is looked for.
struct JobAccess {
    std::string identity;    ///< file; empty: RANKEXEC_IDENTITY, else ~/.rankexec/identity
    std::string controller;  ///< endpoint; empty: as the identity says
};

/// `rankexec job submit`.
struct JobSubmit {
    std::string path;   ///< a job's folder, or a bundle
    std::string token;  ///< empty: a new one
    bool wait = false;
};
/// `rankexec job list`.
struct JobList {
    std::vector<std::string> statuses;  ///< empty: all
};
/// `rankexec job show`.
struct JobShow {
    std::string job;
};
/// `rankexec job logs`.
struct JobLogs {
    std::string job;
    std::string participant;  ///< empty: the controller part
    bool follow = false;
};
/// `rankexec job abort`.
struct JobAbort {
    std::string job;
    std::string reason;
};
/// `rankexec job delete`.
struct JobDelete {
    std::string job;
};
/// `rankexec job download`.
struct JobDownload {
    std::string job;
    std::string into;      ///< empty: NAME-ID in the current folder
    bool archive = false;  ///< as it comes, instead of unpacked
};
/// `rankexec job wait`.
struct JobWait {
    std::string job;
    std::optional<std::chrono::milliseconds> timeout;
};
/// `rankexec job sites`.
struct JobSites {};

using JobAction =
    std::variant<JobSubmit, JobList, JobShow, JobLogs, JobAbort, JobDelete, JobDownload, JobWait, JobSites>;

struct JobCommand {
    JobAccess access;
    JobAction action;
    bool json = false;
};

/// `rankexec site enroll`, `rankexec user enroll`: on the controller's machine.
struct EnrollCommand {
    bool site = false;
    std::string name;
    std::string home;        ///< the controller's; empty: as of `rankexec serve`
    std::string controller;  ///< where it will listen, for the new identity
    std::string public_key;  ///< of an identity that was made elsewhere; empty: make one
    std::string out;         ///< file of the new identity; empty: NAME.site or NAME.user
    std::string may;         ///< of a user: "submit,abort,delete"
    bool replace = false;
};

}  // namespace rankexec::cli
