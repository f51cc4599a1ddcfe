// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 has chosen it
class App;
}

/// How the subcommands read words of the command line.
namespace rankexec::cli {

/// A mistake on the command line; becomes the error of parse_command_line.
struct UsageError {
    std::string message;
};

/// The parts between commas, without empty ones.
[[nodiscard]] std::vector<std::string> split_commas(const std::string& text);
/// "; did you mean 'launch'?", or nothing.
[[nodiscard]] std::string suggestion(const std::string& name, const std::vector<std::string>& candidates);

// All of these throw UsageError, which names the option and quotes the word.
[[nodiscard]] int whole_number(const std::string& option, const std::string& text, int highest);
[[nodiscard]] std::chrono::milliseconds seconds(const std::string& option, const std::string& text);
[[nodiscard]] int rank_count(const std::string& text);
[[nodiscard]] std::string known_launcher(const std::string& name, const std::vector<std::string>& launchers);
[[nodiscard]] Transport transport_word(const std::string& option, const std::string& word);

/// Makes options whose value is empty an error.
void refuse_empty_values(CLI::App& command);

/// An option that takes one value and may be given again.
void add_repeated(CLI::App& command, const std::string& name, std::vector<std::string>& values, const std::string& help,
                  const std::string& type);

}  // namespace rankexec::cli
