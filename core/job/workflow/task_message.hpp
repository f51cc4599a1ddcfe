// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec::job {

/// A task on its way from the controller part to a site's part (topic::kTask).
struct RANKEXEC_EXPORT TaskMessage {
    /// Messages in the order in which they were sent: by the controller part's incarnation, then counted.
    using Stamp = std::pair<std::int64_t, std::int64_t>;

    std::string task;
    std::string id;
    std::int64_t number = 0;  ///< of the task, counted from 1
    Stamp stamp;
    std::vector<std::string> open;  ///< ids that are still wanted from this site, this one included
    /// The number of the last task whose result the controller part has saved for good: nobody asks again for that one
    /// or those before it.
    std::int64_t covered = 0;
    Shareable input;

    [[nodiscard]] Shareable pack() const;
    /// The error names the field.
    [[nodiscard]] static tl::expected<TaskMessage, std::string> unpack(Shareable content);
};

}  // namespace rankexec::job
