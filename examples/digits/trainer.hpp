// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include <rankexec/core/component/executor.hpp>

#include "dataset.hpp"
#include "mlp.hpp"
#include "trainer_options.hpp"

namespace digits {

/// Trains and validates the digit classifier together with the other ranks; README.md describes the
/// tasks and the metric event.
class DigitsTrainer : public rankexec::Executor {
public:
    /// Reads the data. Throws std::invalid_argument or std::runtime_error with a message for the user.
    explicit DigitsTrainer(const rankexec::Value::Map& args);

    /// A task that a rank's death, or a rank that is late, breaks throws gloo::Exception.
    rankexec::Shareable execute(const std::string& task, const rankexec::Shareable& input, rankexec::Context& context,
                                const rankexec::Signal& abort) override;

private:
    struct Task;
    struct Totals;

    rankexec::Shareable train(const Task& task);
    rankexec::Shareable validate(const Task& task);
    Totals train_epoch(const Task& task, int epoch, Parameters& parameters, MomentumDescent& descent);
    void report(const Task& task, int epoch, const Totals& mine, double seconds);
    void connect(const Task& task);

    TrainerOptions options_;
    Dataset dataset_;
    std::int64_t tasks_ = 0;
    // Kept until the next task, when every rank is known to have finished: closing it earlier could
    // cut off a rank that has not yet read the last answer.
    std::unique_ptr<Collective> collective_;
};

}  // namespace digits
