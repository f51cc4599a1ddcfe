// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/component/component.hpp"
#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/model/signal.hpp"

namespace rankexec {

/// A component that executes tasks.
class RANKEXEC_EXPORT Executor : public Component {
public:
    ~Executor() override;

    /// Executes one task and returns its reply. `abort` is triggered when the task should end early;
    /// an implementation that runs long watches it and returns. `context` holds the run's properties;
    /// changes to it go back to the caller. Called for one task at a time by the library.
    ///
    /// Expected failures are replies with a ReturnCode other than ok (an unknown task: task_unknown);
    /// an exception becomes execution_exception with its message.
    virtual Shareable execute(const std::string& task, const Shareable& input, Context& context,
                              const Signal& abort) = 0;
};

}  // namespace rankexec
