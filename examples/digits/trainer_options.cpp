// SPDX-License-Identifier: Apache-2.0
#include "trainer_options.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include <rankexec/core/component/nearest_name.hpp>

namespace digits {
namespace {

using rankexec::Value;

/// Takes the arguments one by one and then refuses the rest.
class Arguments {
public:
    explicit Arguments(const Value::Map& args) : args_(args) {}

    void text(const std::string& name, std::string& target) {
        if (const auto* value = take(name)) {
            if (value->if_text() == nullptr) refuse(name, "must be text");
            target = *value->if_text();
        }
    }

    template <typename T>
    void integer(const std::string& name, T& target, std::int64_t least, std::int64_t most) {
        if (const auto* value = take(name)) {
            const auto* number = value->if_integer();
            if (number == nullptr || *number < least || *number > most) {
                refuse(name, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
            }
            target = static_cast<T>(*number);
        }
    }

    /// "0/2": the first of two.
    void share(const std::string& name, Share& target) {
        const auto* value = take(name);
        if (value == nullptr) return;
        const auto text = value->text_or("");
        int used = 0;
        const int read = std::sscanf(text.c_str(), "%3d/%3d%n", &target.number, &target.count, &used);
        const bool whole = read == 2 && static_cast<std::size_t>(used) == text.size();
        if (!whole || target.count < 1 || target.number < 0 || target.number >= target.count) {
            refuse(name, "must be text like \"0/2\", the first of two shares");
        }
    }

    template <typename Real>
    void real(const std::string& name, Real& target, double most) {
        if (const auto* value = take(name)) {
            const double number = value->real_or(-1);
            if (!(number >= 0 && number <= most)) refuse(name, "must be a number from 0 to " + std::to_string(most));
            target = static_cast<Real>(number);
        }
    }

    void refuse_others() const {
        for (const auto& [name, value] : args_) {
            if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
            const auto nearest = rankexec::nearest_name(name, known_);
            throw std::invalid_argument("unknown argument \"" + name + "\"" +
                                        (nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?"));
        }
    }

private:
    const Value* take(const std::string& name) {
        known_.push_back(name);
        const auto found = args_.find(name);
        return found == args_.end() ? nullptr : &found->second;
    }

    [[noreturn]] static void refuse(const std::string& name, const std::string& why) {
        throw std::invalid_argument("argument \"" + name + "\" " + why);
    }

    const Value::Map& args_;
    std::vector<std::string> known_;
};

}  // namespace

TrainerOptions parse_trainer_options(const Value::Map& args) {
    constexpr std::int64_t kDay = 24 * 3600 * 1000;
    TrainerOptions options;
    Arguments arguments(args);
    arguments.text("data", options.data);
    arguments.text("store", options.store);
    arguments.integer("seed", options.seed, 0, INT64_MAX);
    arguments.integer("epochs", options.epochs, 1, 10'000);
    arguments.integer("batch", options.batch, 1, 100'000);
    arguments.real("learning_rate", options.learning_rate, 100);
    arguments.real("momentum", options.momentum, 1);
    arguments.share("share", options.share);
    arguments.real("skew", options.share.skew, 1);
    arguments.text("address", options.collective.address);
    arguments.text("interface", options.collective.interface);
    std::int64_t connect_timeout = options.collective.connect_timeout.count();
    std::int64_t timeout = options.collective.timeout.count();
    arguments.integer("connect_timeout_ms", connect_timeout, 1, kDay);
    arguments.integer("timeout_ms", timeout, 1, kDay);
    options.collective.connect_timeout = std::chrono::milliseconds(connect_timeout);
    options.collective.timeout = std::chrono::milliseconds(timeout);
    arguments.refuse_others();
    return options;
}

}  // namespace digits
