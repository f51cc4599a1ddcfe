// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"

namespace rankexec::job {

/// What a job's part needs at its site. 0: none of it.
struct RANKEXEC_EXPORT ResourceNeed {
    int gpus = 0;
    std::int64_t gpu_memory_mib = 0;  ///< free on each of those GPUs
    int cores = 0;
    std::int64_t memory_mib = 0;

    [[nodiscard]] bool nothing() const noexcept { return *this == ResourceNeed{}; }
    friend bool operator==(const ResourceNeed&, const ResourceNeed&) = default;
};

/// One GPU of a site.
struct RANKEXEC_EXPORT GpuState {
    std::string id;  ///< as CUDA_VISIBLE_DEVICES takes it
    std::int64_t memory_mib = 0;
    bool free = true;
    friend bool operator==(const GpuState&, const GpuState&) = default;
};

/// What a site has, and what of it nobody has reserved.
struct RANKEXEC_EXPORT ResourceState {
    std::vector<GpuState> gpus;
    int cores = 0;
    int free_cores = 0;
    std::int64_t memory_mib = 0;
    std::int64_t free_memory_mib = 0;
    friend bool operator==(const ResourceState&, const ResourceState&) = default;
};

/// Why `need` does not fit, for people ("needs 2 GPUs, 1 free"); empty: it fits now.
[[nodiscard]] RANKEXEC_EXPORT std::string shortfall(const ResourceNeed& need, const ResourceState& state);
/// The same against all that the site has, whoever holds it: a shortfall here never ends.
[[nodiscard]] RANKEXEC_EXPORT std::string shortfall_of_total(const ResourceNeed& need, const ResourceState& state);

/// For messages between processes and for databases. The readers refuse what is none, with the reason.
[[nodiscard]] RANKEXEC_EXPORT Value to_value(const ResourceNeed& need);
[[nodiscard]] RANKEXEC_EXPORT Value to_value(const ResourceState& state);
/// Throw std::invalid_argument that names the field.
[[nodiscard]] RANKEXEC_EXPORT ResourceNeed resource_need_from(const Value& value);
[[nodiscard]] RANKEXEC_EXPORT ResourceState resource_state_from(const Value& value);

}  // namespace rankexec::job
