// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/fed_avg_state.hpp"

#include <optional>
#include <string_view>

namespace rankexec::job {
namespace {

constexpr std::string_view kModel = "model/";
constexpr std::string_view kBest = "best/";

Value to_value(const FedAvgState::Round& round) {
    Value::Map by_site;
    for (const auto& [site, metric] : round.by_site) by_site.insert_or_assign(site, metric);
    return Value::Map{{"round", round.round}, {"metric", round.metric}, {"by_site", std::move(by_site)}};
}

std::optional<FedAvgState::Round> round_from(const Value& value) {
    const auto* round = value.find("round");
    const auto* metric = value.find("metric");
    const auto* by_site = value.find("by_site");
    if (round == nullptr || metric == nullptr || by_site == nullptr || by_site->if_map() == nullptr) return {};
    FedAvgState::Round result{static_cast<int>(round->integer_or(0)), metric->real_or(0), {}};
    for (const auto& [site, at_site] : *by_site->if_map()) result.by_site.emplace(site, at_site.real_or(0));
    return result;
}

}  // namespace

Shareable FedAvgState::pack() const {
    Shareable snapshot;
    Value::Array rounds;
    for (const auto& round : history) rounds.push_back(to_value(round));
    snapshot.body = Value::Map{{"rounds_done", rounds_done},
                               {"best_round", best_round},
                               {"best_metric", best_metric},
                               {"history", std::move(rounds)}};
    for (const auto& [name, tensor] : model) snapshot.tensors.emplace(std::string(kModel) + name, tensor);
    for (const auto& [name, tensor] : best_model) snapshot.tensors.emplace(std::string(kBest) + name, tensor);
    return snapshot;
}

tl::expected<FedAvgState, std::string> FedAvgState::unpack(const Shareable& snapshot) {
    FedAvgState state;
    const auto* rounds_done = snapshot.body.find("rounds_done");
    const auto* best_round = snapshot.body.find("best_round");
    const auto* best_metric = snapshot.body.find("best_metric");
    const auto* history = snapshot.body.find("history");
    const bool complete = rounds_done != nullptr && best_round != nullptr && best_metric != nullptr &&
                          history != nullptr && history->if_array() != nullptr;
    if (!complete) return tl::unexpected(std::string("it is not the state of workflow \"fed_avg\""));
    state.rounds_done = static_cast<int>(rounds_done->integer_or(0));
    state.best_round = static_cast<int>(best_round->integer_or(0));
    state.best_metric = best_metric->real_or(0);
    for (const auto& value : *history->if_array()) {
        auto round = round_from(value);
        if (!round) return tl::unexpected(std::string("one of its rounds is none"));
        state.history.push_back(std::move(*round));
    }
    for (const auto& [name, tensor] : snapshot.tensors) {
        if (name.starts_with(kModel)) state.model.emplace(name.substr(kModel.size()), tensor);
        if (name.starts_with(kBest)) state.best_model.emplace(name.substr(kBest.size()), tensor);
    }
    return state;
}

}  // namespace rankexec::job
