// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/fed_avg_options.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "rankexec/core/component/nearest_name.hpp"

namespace rankexec::job {
namespace {

[[noreturn]] void refuse(const std::string& name, const std::string& why) {
    throw std::invalid_argument("argument \"" + name + "\" " + why);
}

/// Takes the arguments one by one and then refuses the rest.
class Arguments {
public:
    explicit Arguments(const Value::Map& args) : args_(args) {}

    void text(const std::string& name, std::string& target) {
        const auto* value = take(name);
        if (value == nullptr) return;
        if (value->if_text() == nullptr) refuse(name, "must be text");
        target = *value->if_text();
    }
    void boolean(const std::string& name, bool& target) {
        const auto* value = take(name);
        if (value == nullptr) return;
        if (value->if_boolean() == nullptr) refuse(name, "must be true or false");
        target = *value->if_boolean();
    }
    void integer(const std::string& name, int& target, int least, int most) {
        const auto* value = take(name);
        if (value == nullptr) return;
        const auto* number = value->if_integer();
        if (number == nullptr || *number < least || *number > most) {
            refuse(name, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
        }
        target = static_cast<int>(*number);
    }
    void seconds(const std::string& name, std::chrono::milliseconds& target) {
        const auto* value = take(name);
        if (value == nullptr) return;
        constexpr double kYear = 366.0 * 24 * 3600;
        const double number = value->real_or(-1);
        if (!(number >= 0 && number <= kYear)) refuse(name, "must be a number of seconds, at most a year");
        target = std::chrono::milliseconds(static_cast<std::int64_t>(number * 1000));
    }
    void refuse_others() const {
        for (const auto& [name, value] : args_) {
            if (std::ranges::find(known_, name) != known_.end()) continue;
            const auto nearest = nearest_name(name, known_);
            throw std::invalid_argument("unknown argument \"" + std::string(name) + "\"" +
                                        (nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?"));
        }
    }

private:
    const Value* take(const std::string& name) {
        known_.push_back(name);
        const auto found = args_.find(name);
        return found == args_.end() ? nullptr : &found->second;
    }

    const Value::Map& args_;
    std::vector<std::string> known_;
};

}  // namespace

FedAvgOptions parse_fed_avg_options(const Value::Map& args) {
    FedAvgOptions options;
    Arguments arguments(args);
    arguments.integer("rounds", options.rounds, 1, 1'000'000);
    arguments.text("train_task", options.train_task);
    arguments.text("validate_task", options.validate_task);
    arguments.text("metric", options.metric);
    arguments.boolean("higher_is_better", options.higher_is_better);
    arguments.text("weight", options.weight);
    arguments.integer("min_responses", options.min_responses, 0, 1'000'000);
    arguments.seconds("wait_after_min_seconds", options.wait_after_min);
    arguments.seconds("train_timeout_seconds", options.train_timeout);
    arguments.seconds("validate_timeout_seconds", options.validate_timeout);
    arguments.text("save_file", options.save_file);
    arguments.integer("alone_rounds", options.alone_rounds, 0, 1'000'000);
    arguments.refuse_others();
    if (options.train_task.empty()) refuse("train_task", "must name a task");
    if (options.weight.empty()) refuse("weight", "must name a header");
    if (options.metric.empty()) refuse("metric", "must name a figure");
    // It stays in the job's result folder.
    const bool leads_out = options.save_file.find('/') != std::string::npos || options.save_file.starts_with('.');
    if (leads_out) refuse("save_file", "must be a file name without folders");
    return options;
}

}  // namespace rankexec::job
