// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/record_json.hpp"

#include <nlohmann/json.hpp>

namespace rankexec::bench {
namespace {

using nlohmann::ordered_json;

constexpr const char* kFormat = "rankexec-bench";
constexpr int kFormatVersion = 1;

ordered_json or_null(double figure) { return figure < 0 ? ordered_json(nullptr) : ordered_json(figure); }
ordered_json or_null(std::int64_t bytes) { return bytes < 0 ? ordered_json(nullptr) : ordered_json(bytes); }

ordered_json json_of(const Measurement& measurement) {
    const auto& where = measurement.where;
    const auto& figure = measurement.figure;
    ordered_json object{
        {"scenario", name_of(where.scenario)}, {"subject", measurement.subject}, {"ranks", where.ranks},
        {"payload_bytes", where.payload},      {"launcher", where.launcher},     {"transport", where.transport},
        {"silence_us", where.silence.count()}, {"in_place", where.in_place},     {"unit", measurement.unit}};
    if (!measurement.failure.empty()) {
        object["failure"] = measurement.failure;
        return object;
    }
    object["samples"] = figure.count;
    object["minimum"] = figure.minimum;
    object["lower_quartile"] = figure.lower_quartile;
    object["median"] = figure.median;
    object["upper_quartile"] = figure.upper_quartile;
    object["p99"] = figure.p99;
    object["maximum"] = figure.maximum;
    object["parent_cpu_us"] = or_null(measurement.parent_cpu);
    object["ranks_cpu_us"] = or_null(measurement.ranks_cpu);
    object["parent_peak_bytes"] = or_null(measurement.parent_memory);
    object["rank_peak_bytes"] = or_null(measurement.rank_memory);
    if (!measurement.channel.empty()) object["channel"] = measurement.channel;
    if (measurement.growth >= 0 || where.scenario == Scenario::soak) object["growth_bytes"] = measurement.growth;
    return object;
}

template <typename T>
T value_or(const ordered_json& object, const char* name, T fallback) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? fallback : found->get<T>();
}

Measurement measurement_of(const ordered_json& object) {
    Measurement measurement;
    auto& where = measurement.where;
    const auto name = object.at("scenario").get<std::string>();
    const auto scenario = scenario_named(name);
    if (!scenario) throw std::runtime_error("it has a scenario '" + name + "', which does not exist");
    where.scenario = *scenario;
    where.ranks = object.at("ranks").get<int>();
    where.payload = value_or<std::uint64_t>(object, "payload_bytes", 0);
    where.launcher = value_or<std::string>(object, "launcher", "");
    where.transport = value_or<std::string>(object, "transport", "");
    where.silence = std::chrono::microseconds(value_or<std::int64_t>(object, "silence_us", 0));
    where.in_place = value_or(object, "in_place", false);
    measurement.subject = value_or<std::string>(object, "subject", kOurself);
    measurement.unit = value_or<std::string>(object, "unit", "us");
    measurement.failure = value_or<std::string>(object, "failure", "");
    if (!measurement.failure.empty()) return measurement;
    auto& figure = measurement.figure;
    figure.median = object.at("median").get<double>();
    figure.count = value_or<std::size_t>(object, "samples", 1);
    figure.lower_quartile = value_or(object, "lower_quartile", figure.median);
    figure.upper_quartile = value_or(object, "upper_quartile", figure.median);
    figure.minimum = value_or(object, "minimum", figure.lower_quartile);
    figure.maximum = value_or(object, "maximum", figure.upper_quartile);
    figure.p99 = value_or(object, "p99", figure.maximum);
    measurement.channel = value_or<std::string>(object, "channel", "");
    measurement.parent_cpu = value_or(object, "parent_cpu_us", -1.0);
    measurement.ranks_cpu = value_or(object, "ranks_cpu_us", -1.0);
    measurement.parent_memory = value_or<std::int64_t>(object, "parent_peak_bytes", -1);
    measurement.rank_memory = value_or<std::int64_t>(object, "rank_peak_bytes", -1);
    measurement.growth = value_or<std::int64_t>(object, "growth_bytes", -1);
    return measurement;
}

Goal goal_of(const ordered_json& object) {
    const auto text = [&](const char* name) { return value_or<std::string>(object, name, ""); };
    return {text("row"), text("goal"), text("measured"), text("ours"), text("reference"), text("verdict")};
}

}  // namespace

std::string to_json(const Record& record) {
    ordered_json object{{"format", kFormat},          {"format_version", kFormatVersion},
                        {"rankexec", record.version}, {"time", record.time},
                        {"machine", record.machine},  {"measurements", ordered_json::array()}};
    for (const auto& measurement : record.measurements) object["measurements"].push_back(json_of(measurement));
    for (const auto& goal : record.goals) {
        object["goals"].push_back({{"row", goal.row},
                                   {"goal", goal.goal},
                                   {"measured", goal.measured},
                                   {"ours", goal.ours},
                                   {"reference", goal.reference},
                                   {"verdict", goal.verdict}});
    }
    return object.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

tl::expected<Record, std::string> parse_record(std::string_view text) {
    try {
        const auto object = ordered_json::parse(text);
        if (!object.is_object() || value_or<std::string>(object, "format", "") != kFormat) {
            return tl::unexpected(std::string("it is not what rankexec bench --json writes"));
        }
        if (value_or(object, "format_version", 0) != kFormatVersion) {
            return tl::unexpected(std::string("it is of another version of rankexec; measure it again with this one"));
        }
        Record record;
        record.version = value_or<std::string>(object, "rankexec", "");
        record.time = value_or<std::string>(object, "time", "");
        record.machine = value_or<std::string>(object, "machine", "");
        for (const auto& measurement : object.at("measurements")) {
            record.measurements.push_back(measurement_of(measurement));
        }
        if (object.contains("goals")) {
            for (const auto& goal : object.at("goals")) record.goals.push_back(goal_of(goal));
        }
        return record;
    } catch (const std::exception& error) {
        return tl::unexpected(std::string(error.what()));
    }
}

}  // namespace rankexec::bench
