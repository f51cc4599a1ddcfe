// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/fed_avg.hpp"

#include <array>
#include <cstdio>
#include <filesystem>
#include <future>
#include <utility>

#include "rankexec/core/job/workflow/fed_avg_state.hpp"
#include "rankexec/core/job/workflow/weighted_average.hpp"
#include "rankexec/core/numpy/npz.hpp"

namespace rankexec::job {
namespace {

using Replies = std::map<std::string, Shareable>;
template <typename T>
using Expected = tl::expected<T, Failure>;

tl::unexpected<Failure> bad_result(std::string message) {
    Failure failure;
    failure.code = ReturnCode::execution_result_error;
    failure.message = std::move(message);
    return tl::make_unexpected(std::move(failure));
}

/// A header, or a member of the body.
std::optional<double> figure_of(const Shareable& reply, const std::string& name) {
    const auto* value = reply.header(name);
    if (value == nullptr) value = reply.body.find(name);
    if (value == nullptr || (value->if_integer() == nullptr && value->if_real() == nullptr)) return std::nullopt;
    return value->real_or(0);
}

std::string text_of(double number) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.4f", number);
    return text.data();
}

std::string text_of_weight(double weight) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.10g", weight);
    return text.data();
}

/// What the sites said of one model.
struct Validation {
    double metric = 0;
    std::map<std::string, double> by_site;
};

class FedAvgRun {
public:
    FedAvgRun(const FedAvgOptions& options, WorkflowSession& session) : options_(options), session_(session) {}

    Expected<void> run() {
        if (auto restored = restore(); !restored) return restored;
        while (state_.rounds_done < options_.rounds) {
            if (auto done = run_round(state_.rounds_done + 1); !done) return done;
            session_.save_snapshot(state_.pack());
        }
        if (auto compared = compare_with_each_alone(); !compared) return compared;
        return conclude();
    }

private:
    Expected<void> restore() {
        const auto snapshot = session_.snapshot();
        if (!snapshot) return {};
        auto state = FedAvgState::unpack(*snapshot);
        if (!state) return bad_result("the run's saved state cannot be used: " + state.error());
        state_ = std::move(*state);
        session_.progress("goes on after round " + std::to_string(state_.rounds_done));
        for (const auto& round : state_.history) tell(round);
        return {};
    }

    Expected<void> run_round(int round) {
        auto trained = train(round);
        if (!trained) return tl::unexpected(std::move(trained.error()));
        state_.model = std::move(*trained);
        if (!options_.validate_task.empty()) {
            auto validation = validate(round, state_.model);
            if (!validation) return tl::unexpected(std::move(validation.error()));
            take(round, *validation);
        }
        state_.rounds_done = round;
        return {};
    }

    // ---- one task at all sites ------------------------------------------------------------------

    [[nodiscard]] Shareable input_of(int round, int rounds, const Shareable::Tensors& model) const {
        Shareable input;
        input.headers = {{"round", round}, {"rounds", rounds}};
        input.tensors = model;
        return input;
    }

    Expected<Replies> at_all_sites(const std::string& task, Shareable input, std::chrono::milliseconds timeout) {
        WorkflowSession::Broadcast broadcast;
        broadcast.task = task;
        broadcast.input = std::move(input);
        broadcast.min_responses = options_.min_responses > 0 ? options_.min_responses : session_.min_sites();
        broadcast.wait_after_min = options_.wait_after_min;
        broadcast.timeout = timeout;
        return session_.broadcast_and_wait(broadcast);
    }

    [[nodiscard]] Expected<double> weight_of(const std::string& site, const Shareable& reply,
                                             const std::string& task) const {
        const auto weight = figure_of(reply, options_.weight);
        if (weight) return *weight;
        return bad_result("site " + site + "'s reply to task \"" + task + "\" has no number \"" + options_.weight +
                          "\" (the workflow's argument weight)");
    }

    Expected<Shareable::Tensors> train(int round) {
        auto replies =
            at_all_sites(options_.train_task, input_of(round, options_.rounds, state_.model), options_.train_timeout);
        if (!replies) return tl::unexpected(std::move(replies.error()));
        std::map<std::string, WeightedModel> models;
        for (const auto& [site, reply] : *replies) {
            if (!reply.ok()) {
                say(round, site, "left out: " + reply.failure.value_or(Failure{}).headline());
                continue;
            }
            const auto weight = weight_of(site, reply, options_.train_task);
            if (!weight) return tl::unexpected(weight.error());
            models.emplace(site, WeightedModel{&reply.tensors, *weight});
            say(round, site, "trained on " + text_of_weight(*weight) + " " + options_.weight + figures_of(reply));
        }
        return weighted_average(models);
    }

    /// What sites like to say about their training, beside the weight.
    [[nodiscard]] std::string figures_of(const Shareable& reply) const {
        std::string text;
        for (const auto& name : {std::string("loss"), options_.metric}) {
            if (const auto figure = figure_of(reply, name)) text += ", " + name + " " + text_of(*figure);
        }
        return text;
    }

    Expected<Validation> validate(int round, const Shareable::Tensors& model) {
        auto replies =
            at_all_sites(options_.validate_task, input_of(round, options_.rounds, model), options_.validate_timeout);
        if (!replies) return tl::unexpected(std::move(replies.error()));
        Validation validation;
        double total = 0;
        for (const auto& [site, reply] : *replies) {
            if (!reply.ok()) continue;
            const auto metric = figure_of(reply, options_.metric);
            if (!metric) {
                return bad_result("site " + site + "'s reply to task \"" + options_.validate_task +
                                  "\" has no number \"" + options_.metric + "\" (the workflow's argument metric)");
            }
            const auto weight = weight_of(site, reply, options_.validate_task);
            if (!weight) return tl::unexpected(weight.error());
            validation.by_site.emplace(site, *metric);
            validation.metric += *metric * *weight;
            total += *weight;
        }
        if (!(total > 0)) return bad_result("no site has validated the model on any data");
        validation.metric /= total;
        return validation;
    }

    // ---- what is kept and told ------------------------------------------------------------------

    void take(int round, const Validation& validation) {
        for (const auto& [site, metric] : validation.by_site) {
            say(round, site, "validated: " + options_.metric + " " + text_of(metric));
        }
        const bool better =
            state_.best_round == 0 || (options_.higher_is_better ? validation.metric > state_.best_metric
                                                                 : validation.metric < state_.best_metric);
        if (better) {
            state_.best_round = round;
            state_.best_metric = validation.metric;
            state_.best_model = state_.model;
        }
        state_.history.push_back({round, validation.metric, validation.by_site});
        session_.progress(round_text(round) + options_.metric + " " + text_of(validation.metric) +
                          (better ? ", the best so far" : ""));
        tell(state_.history.back());
    }

    void tell(const FedAvgState::Round& round) {
        session_.figure(options_.metric, round.round, round.metric);
        for (const auto& [site, metric] : round.by_site) {
            session_.figure(options_.metric + "." + site, round.round, metric);
        }
    }

    [[nodiscard]] std::string round_text(int round) const {
        return "round " + std::to_string(round) + "/" + std::to_string(options_.rounds) + "  ";
    }
    void say(int round, const std::string& site, const std::string& what) {
        session_.progress(round_text(round) + site + "  " + what);
    }

    // ---- each site alone ------------------------------------------------------------------------

    /// Trains a model at one site only, from the same beginning.
    Expected<Shareable::Tensors> train_alone(const std::string& site) {
        Shareable::Tensors model;
        for (int round = 1; round <= options_.alone_rounds; ++round) {
            auto reply = session_.send(site, options_.train_task, input_of(round, options_.alone_rounds, model),
                                       options_.train_timeout);
            if (!reply.ok()) return tl::unexpected(reply.failure.value_or(Failure{}));
            model = std::move(reply.tensors);
        }
        return model;
    }

    Expected<void> compare_with_each_alone() {
        if (options_.alone_rounds == 0 || options_.validate_task.empty()) return {};
        std::map<std::string, std::future<Expected<Shareable::Tensors>>> models;
        for (const auto& site : session_.sites()) {
            models.emplace(site, std::async(std::launch::async, [this, site] { return train_alone(site); }));
        }
        for (auto& [site, future] : models) {
            auto model = future.get();
            if (!model) return tl::unexpected(std::move(model.error()));
            const auto validation = validate(options_.alone_rounds, *model);
            if (!validation) return tl::unexpected(validation.error());
            session_.progress(site + " alone, after " + std::to_string(options_.alone_rounds) +
                              " rounds: " + options_.metric + " " + text_of(validation->metric));
            session_.figure(options_.metric + "." + site + ".alone", options_.alone_rounds, validation->metric);
        }
        return {};
    }

    // ---- the end --------------------------------------------------------------------------------

    Expected<void> conclude() {
        const bool validated = state_.best_round > 0;
        if (!options_.save_file.empty()) {
            const auto file = std::filesystem::path(session_.result_directory()) / options_.save_file;
            auto saved = numpy::write_npz(file, validated ? state_.best_model : state_.model);
            if (!saved) return saved;
            session_.progress("model " + (validated ? "of round " + std::to_string(state_.best_round) + " " : "") +
                              "saved as " + options_.save_file);
        }
        if (validated) session_.progress("held_out_" + options_.metric + "=" + text_of(state_.best_metric));
        return {};
    }

    const FedAvgOptions& options_;
    WorkflowSession& session_;
    FedAvgState state_;
};

}  // namespace

tl::expected<void, Failure> FedAvg::run(WorkflowSession& session) { return FedAvgRun(options_, session).run(); }

}  // namespace rankexec::job
