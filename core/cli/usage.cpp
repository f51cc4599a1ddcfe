// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/usage.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <CLI/CLI.hpp>

#include "rankexec/core/cli/option_names.hpp"
#include "rankexec/core/cli/rank_count.hpp"
#include "rankexec/core/component/nearest_name.hpp"

namespace rankexec::cli {

using std::chrono::milliseconds;

std::vector<std::string> split_commas(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const auto end = std::min(text.find(',', begin), text.size());
        if (end > begin) parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

std::string suggestion(const std::string& name, const std::vector<std::string>& candidates) {
    const auto nearest = nearest_name(name, candidates);
    return nearest.empty() ? std::string() : "; did you mean '" + nearest + "'?";
}

int whole_number(const std::string& option, const std::string& text, int highest) {
    int number = 0;
    const auto* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc() && stop == end && number >= 0 && number <= highest) return number;
    throw UsageError{option + ": '" + text + "' is not a whole number from 0 to " + std::to_string(highest)};
}

milliseconds seconds(const std::string& option, const std::string& text) {
    double number = -1;
    const auto* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    constexpr double kYear = 365.0 * 24 * 60 * 60;
    if (error == std::errc() && stop == end && number >= 0 && number <= kYear) {
        // Where 0 means for ever, the shortest time must not.
        return milliseconds(std::max(std::llround(number * 1000), number > 0 ? 1LL : 0LL));
    }
    throw UsageError{option + ": '" + text + "' is not a number of seconds"};
}

int rank_count(const std::string& text) {
    const auto count = parse_rank_count(text);
    if (!count) throw UsageError{"-n: " + count.error()};
    return *count;
}

std::string known_launcher(const std::string& name, const std::vector<std::string>& launchers) {
    if (std::find(launchers.begin(), launchers.end(), name) != launchers.end()) return name;
    std::string all;
    for (const auto& launcher : launchers) all += (all.empty() ? "" : ", ") + launcher;
    const auto nearest = suggestion(name, launchers);
    throw UsageError{"--launcher: there is no launcher '" + name + "'" +
                     (nearest.empty() ? "; there are " + all : nearest)};
}

Transport transport_word(const std::string& option, const std::string& word) {
    const auto found = transport_named(word);
    if (!found) throw UsageError{option + ": '" + word + "' is none of auto, zeromq"};
    return *found;
}

/// An empty value is a script's variable that was not set. The launcher may want an empty argument.
void refuse_empty_values(CLI::App& command) {
    for (auto* option : command.get_options()) {
        if (option->get_items_expected_max() == 0 || option->check_lname("launcher-arg")) continue;
        option->check([](const std::string& value) { return std::string(value.empty() ? "its value is empty" : ""); });
    }
}

void add_repeated(CLI::App& command, const std::string& name, std::vector<std::string>& values, const std::string& help,
                  const std::string& type) {
    command.add_option(name, values, help)
        ->type_name(type)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false);
}

}  // namespace rankexec::cli
