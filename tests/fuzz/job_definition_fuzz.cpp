// SPDX-License-Identifier: Apache-2.0
// Fuzz target of job.toml: any text is a definition that names no place outside its bundle, or a ConfigurationError
// that says where and what.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/model/job_definition.hpp"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rankexec::job;
    try {
        const auto job = parse_definition({reinterpret_cast<const char*>(data), size}, "/jobs/job.toml");
        require(name_error(job.name).empty());
        require(job.min_sites >= 1 && !job.parts.empty() && !job.workflow.type.empty());
        for (const auto& part : job.parts) {
            require(!part.folder.starts_with('/') && ("/" + part.folder + "/").find("/../") == std::string::npos);
            require(part.need.gpus >= 0 && part.need.cores >= 0 && !part.sites.empty());
        }
        for (const auto& site : job.required_sites) require(job.part_of(site) != nullptr);
    } catch (const rankexec::ConfigurationError& error) {
        require(std::string_view(error.what()).find("/jobs/job.toml") != std::string_view::npos);
    }
    return 0;
}
