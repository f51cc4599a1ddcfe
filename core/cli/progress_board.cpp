// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/progress_board.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "rankexec/core/cli/table.hpp"
#include "rankexec/core/model/printable.hpp"

namespace rankexec::cli {
namespace {

/// Either shown elsewhere on the line, or no news.
constexpr std::array<std::string_view, 8> kNotRepeated{"rank",   "world_size", "round", "rounds",
                                                       "epochs", "steps",      "epoch", "step"};

std::optional<double> number_of(const Value& value) {
    if (value.if_integer() == nullptr && value.if_real() == nullptr) return std::nullopt;
    return value.real_or(0);
}

/// "  epoch 3/4", or nothing when that is not counted.
std::string counter(const Value& figures, std::string_view name, std::string_view of) {
    const auto* value = figures.find(name);
    const auto number = value != nullptr ? number_of(*value) : std::nullopt;
    if (!number) return {};
    auto text = "  " + std::string(name) + " " + format_figure(*number);
    const auto* total = figures.find(of);
    if (total != nullptr && number_of(*total)) text += "/" + format_figure(*number_of(*total));
    return text;
}

}  // namespace

ProgressBoard::ProgressBoard(int world_size)
    : figures_(static_cast<std::size_t>(world_size)), work_(static_cast<std::size_t>(world_size)) {}

void ProgressBoard::begin(const std::string& task, int round, int rounds) {
    phase_ = printable(task, kLongestName) + " " + std::to_string(round) + "/" + std::to_string(rounds);
    std::fill(figures_.begin(), figures_.end(), std::string());
}

bool ProgressBoard::update(int rank, const Value& figures) {
    const auto* map = figures.if_map();
    if (map == nullptr || rank < 0 || static_cast<std::size_t>(rank) >= figures_.size()) return false;
    auto text = counter(figures, "epoch", "epochs") + counter(figures, "step", "steps");
    for (const auto& [name, value] : *map) {
        const auto number = number_of(value);
        if (!number || std::find(kNotRepeated.begin(), kNotRepeated.end(), name) != kNotRepeated.end()) continue;
        if (name == "samples") {
            work_[static_cast<std::size_t>(rank)].samples += *number;
        } else {
            text += "  " + printable(name, kLongestName) + " " + format_figure(*number);
        }
    }
    ++work_[static_cast<std::size_t>(rank)].events;
    figures_[static_cast<std::size_t>(rank)] = std::move(text);
    return true;
}

std::string ProgressBoard::line(int rank) const {
    return "rank " + std::to_string(rank) + "  " + phase_ + figures_[static_cast<std::size_t>(rank)];
}

std::vector<std::string> ProgressBoard::lines(std::size_t rows, std::size_t columns) const {
    std::vector<std::string> lines;
    const auto all = figures_.size();
    if (rows == 0) return lines;
    const auto shown = all <= rows ? all : rows - 1;
    for (std::size_t rank = 0; rank < shown; ++rank) lines.push_back(line(static_cast<int>(rank)));
    if (shown < all) lines.push_back("... and " + std::to_string(all - shown) + " more ranks");
    for (auto& text : lines) {
        if (text.size() > columns) text.resize(columns);
    }
    return lines;
}

}  // namespace rankexec::cli
