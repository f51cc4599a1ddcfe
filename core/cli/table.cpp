// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace rankexec::cli {
namespace {

/// Columns on a terminal, for text in which every code point takes one.
std::size_t width(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }));
}

/// Also with a unit behind a blank: "12 ms", "64 MiB".
bool is_number(const std::string& text) {
    if (text.empty() || text == "-") return true;
    char* end = nullptr;
    std::strtod(text.c_str(), &end);
    const std::string_view unit(end);
    if (end == text.c_str() || unit.empty()) return unit.empty();
    return unit.size() <= 5 && unit.front() == ' ' && unit.find_first_of("0123456789-", 1) == std::string_view::npos;
}

template <typename... Arguments>
std::string print(const char* format, Arguments... arguments) {
    std::array<char, 64> buffer{};
    const int size = std::snprintf(buffer.data(), buffer.size(), format, arguments...);
    return {buffer.data(), static_cast<std::size_t>(std::clamp(size, 0, 63))};
}

}  // namespace

Table::Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }

void Table::add_row(std::vector<std::string> cells) {
    cells.resize(rows_.front().size());
    rows_.push_back(std::move(cells));
}

std::string Table::text() const {
    const auto columns = rows_.front().size();
    std::vector<std::size_t> widths(columns);
    std::vector<bool> numeric(columns, true);
    for (const auto& row : rows_) {
        for (std::size_t column = 0; column < columns; ++column) {
            widths[column] = std::max(widths[column], width(row[column]));
            if (&row != &rows_.front() && !is_number(row[column])) numeric[column] = false;
        }
    }
    std::string text;
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t column = 0; column < columns; ++column) {
            const std::string padding(widths[column] - width(row[column]), ' ');
            line += (column == 0 ? "" : "  ") + (numeric[column] ? padding + row[column] : row[column] + padding);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    return text;
}

std::string format_figure(double figure) {
    constexpr double kLargestExact = 1e15;
    const bool whole = std::abs(figure) < kLargestExact && figure == std::floor(figure);
    return whole ? print("%.0f", figure) : print("%.4g", figure);
}

std::string format_metric(double metric) { return print("%.4f", metric); }

std::string format_seconds(double seconds) {
    return print(seconds < 10 ? "%.2f" : seconds < 100 ? "%.1f" : "%.0f", seconds);
}

}  // namespace rankexec::cli
