// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/job/model/resources.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// What the configuration of a site says; what it leaves out is looked up on this machine.
struct RANKEXEC_EXPORT ResourceOptions {
    std::optional<std::string> gpus;  ///< for parse_gpus()
    std::optional<int> cores;
    std::optional<std::int64_t> memory_mib;
};

/// GPUs by configuration: "0:80000,1:80000" (id:MiB), ids being numbers or UUIDs as CUDA_VISIBLE_DEVICES takes them;
/// empty or "none": no GPU. Throws ConfigurationError (option) that says what is wrong with it.
[[nodiscard]] RANKEXEC_EXPORT std::vector<GpuState> parse_gpus(std::string_view text);

/// What `nvidia-smi --query-gpu=index,uuid,memory.total --format=csv,noheader,nounits` prints; lines that are none of
/// its are left out. `visible` is CUDA_VISIBLE_DEVICES, if there is one: then only what that lists, by number or UUID.
/// Their ids are UUIDs, since CUDA and nvidia-smi may number GPUs differently.
[[nodiscard]] RANKEXEC_EXPORT std::vector<GpuState> gpus_from_nvidia_smi(std::string_view output,
                                                                         const std::optional<std::string>& visible);

/// NVIDIA's GPUs of this machine, by nvidia-smi; those of CUDA_VISIBLE_DEVICES alone when this process has it. Empty
/// when there is none, and when nvidia-smi is missing or does not answer within 20 s. Blocks as long.
[[nodiscard]] RANKEXEC_EXPORT std::vector<GpuState> find_gpus();

/// Everything of it free. Cores: those that this process may run on. Memory: that of the machine, or of this process's
/// control group if that is less. Throws ConfigurationError.
[[nodiscard]] RANKEXEC_EXPORT ResourceState site_resources(const ResourceOptions& options);

}  // namespace rankexec::job
