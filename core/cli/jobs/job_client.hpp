// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>

#include "rankexec/core/cli/jobs/job_commands.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/model/job_record.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::cli {

/// Why a job's command has failed, for its user.
class JobError : public std::runtime_error {
public:
    JobError(const std::string& message, int exit_code) : std::runtime_error(message), exit_code_(exit_code) {}
    [[nodiscard]] int exit_code() const noexcept { return exit_code_; }

private:
    int exit_code_;
};

/// A user's connection to a controller. One thread.
class JobClient {
public:
    using Milliseconds = std::chrono::milliseconds;

    /// Throws ConfigurationError (the identity), JobError (no controller there, or it refuses).
    explicit JobClient(const JobAccess& access);

    /// The reply, after the controller was waited for if it is restarted just now. Throws JobError when it refuses, or
    /// does not answer.
    [[nodiscard]] Shareable ask(const char* topic, Value::Map headers, Value body = {},
                                Milliseconds timeout = kAnswerTime);
    [[nodiscard]] job::JobRecord show(const std::string& job);
    [[nodiscard]] const job::Identity& identity() const noexcept { return identity_; }

    static constexpr Milliseconds kAnswerTime{60'000};

private:
    job::Identity identity_;
    std::string controller_;
    std::unique_ptr<hub::HubClient> client_;
};

/// What a reply's body is, for messages. Throws JobError.
[[nodiscard]] job::JobRecord record_from(const Value& value);
// Headers of a reply; empty or 0 when they are not there.
using job::number_in;
using job::text_in;

}  // namespace rankexec::cli
