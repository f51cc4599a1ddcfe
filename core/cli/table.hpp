// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace rankexec::cli {

/// Longer names are cut.
inline constexpr std::size_t kLongestName = 40;

/// A table for people: columns as wide as their widest cell, two blanks between them.
class Table {
public:
    explicit Table(std::vector<std::string> headings);
    /// Missing cells are empty, further ones are dropped.
    void add_row(std::vector<std::string> cells);
    /// Every line ends with a line break. Columns in which every cell is a number are aligned right.
    [[nodiscard]] std::string text() const;

private:
    std::vector<std::vector<std::string>> rows_;  ///< the headings first
};

/// A figure as a table shows it: four significant digits, whole numbers in full.
[[nodiscard]] std::string format_figure(double figure);
/// Four digits after the point, so that rounds can be compared at a glance.
[[nodiscard]] std::string format_metric(double metric);
/// "0.41", "12.3", "1234": seconds with three significant digits or more.
[[nodiscard]] std::string format_seconds(double seconds);

}  // namespace rankexec::cli
