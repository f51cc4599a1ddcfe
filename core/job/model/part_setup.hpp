// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"

namespace rankexec::job {

/// The variable in which a part's process finds its PartSetup. It holds a secret: the process takes it out of its
/// environment before it starts anything.
inline constexpr const char* kPartVariable = "RANKEXEC_JOB_PART";
/// The participant that is no site.
inline constexpr const char* kControllerParticipant = "controller";

/// All that the process of one part of a job is told by whoever starts it.
struct RANKEXEC_EXPORT PartSetup {
    std::string job;                 ///< its id
    std::string job_name;            ///< for people
    std::string participant;         ///< the site's name, or kControllerParticipant
    int incarnation = 1;             ///< of the run; counts how often the controller part was started
    std::string endpoint;            ///< of the controller's hub
    std::string hub_key;             ///< its CURVE public key, 64 hexadecimal digits
    std::string secret;              ///< seed of this part's CURVE keys, 64 hexadecimal digits: hub::keys_from_seed
    std::string workspace;           ///< absolute: the unpacked bundle; working directory of the part
    std::string folder;              ///< of a site's part: its folder in the workspace
    std::string results;             ///< absolute: of the controller part, its result folder
    std::vector<std::string> sites;  ///< that have a part of this job
    int min_sites = 1;
    /// A site's part ends when its controller has not been there for so long.
    std::chrono::milliseconds controller_gone_after{300'000};
    std::vector<std::string> gpus;  ///< allotted to a site's part, for CUDA_VISIBLE_DEVICES
    bool bundle_code = true;        ///< programs and libraries may come with the bundle, not only with the site

    [[nodiscard]] std::string to_text() const;
    /// The error says what is wrong, without the text, which is a secret.
    [[nodiscard]] static tl::expected<PartSetup, std::string> from_text(std::string_view text);
    friend bool operator==(const PartSetup&, const PartSetup&) = default;
};

/// "run/JOB/PARTICIPANT": what the hub calls it.
[[nodiscard]] RANKEXEC_EXPORT std::string peer_of_part(const std::string& job, const std::string& participant);

}  // namespace rankexec::job
