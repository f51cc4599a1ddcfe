// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rankexec/core/cli/job_file.hpp"
#include "rankexec/core/component/configuration_error.hpp"

namespace rankexec::cli {

inline const std::vector<std::string> kLaunchers{"local", "mpirun", "srun"};

inline Job parse(const std::string& text) { return parse_job(text, "jobs/job.toml", kLaunchers); }

/// The message for a job that must be refused.
inline std::string refusal(const std::string& text) {
    try {
        (void)parse(text);
    } catch (const ConfigurationError& error) {
        EXPECT_EQ(error.kind(), ConfigurationError::Kind::job_file);
        return error.what();
    }
    ADD_FAILURE() << "accepted: " << text;
    return {};
}

}  // namespace rankexec::cli
