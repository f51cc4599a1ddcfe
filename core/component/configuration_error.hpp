// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// A configuration mistake, found before anything was started. Thrown by constructors and parsers;
/// the message names what, where and what to do.
class RANKEXEC_EXPORT ConfigurationError : public std::invalid_argument {
public:
    enum class Kind {
        rank_count,  ///< not an integer in 1..kMaxRanks
        component_id_missing,
        component_id_duplicate,
        component_type_unknown,
        component_arguments,  ///< the component's factory refused its arguments
        executor_id_unknown,  ///< executor_id names no component
        not_an_executor,      ///< executor_id names a component that is no Executor
        launcher_unknown,
        option,    ///< another option has an unusable value
        job_file,  ///< a job file cannot be read or has an unknown or unusable key
        plugin,    ///< a plugin library cannot be loaded or lacks its entry point
    };

    ConfigurationError(Kind kind, const std::string& message);
    ~ConfigurationError() override;
    [[nodiscard]] Kind kind() const noexcept { return kind_; }

private:
    Kind kind_;
};

}  // namespace rankexec
