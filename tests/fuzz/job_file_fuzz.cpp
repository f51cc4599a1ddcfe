// SPDX-License-Identifier: Apache-2.0
// Fuzz target of job files: any text is a job, or a ConfigurationError that says where and what.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rankexec/core/cli/job_file.hpp"
#include "rankexec/core/component/configuration_error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::vector<std::string> kLaunchers{"local", "mpirun", "hydra", "torchrun", "srun", "command"};
    try {
        const auto job =
            rankexec::cli::parse_job({reinterpret_cast<const char*>(data), size}, "/jobs/job.toml", kLaunchers);
        if (job.executor.group.world_size < 1) std::abort();
    } catch (const rankexec::ConfigurationError& error) {
        if (std::string_view(error.what()).find("/jobs/job.toml") == std::string_view::npos) std::abort();
    }
    return 0;
}
