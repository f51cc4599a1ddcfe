// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

/// What plots are drawn with: files of their own, for light and dark surroundings, without scripts and references to
/// other files.
namespace rankexec::plot {

inline constexpr double kWidth = 880;

/// For XML: &, <, >, quotes, no control characters, valid UTF-8.
[[nodiscard]] std::string escaped(const std::string& text);
/// A coordinate, with one decimal.
[[nodiscard]] std::string num(double number);
/// `anchor`: start, middle or end. `style`: "", "title" or "faint".
[[nodiscard]] std::string text_at(double x, double y, const std::string& text, const char* anchor,
                                  const char* style = "");
/// `style`: "grid", or "line cN" for the colour of series N, which has eight; with "ours" it is thicker, with "limit"
/// dashed.
[[nodiscard]] std::string line(double x1, double y1, double x2, double y2, const std::string& style);
/// The whole file.
[[nodiscard]] std::string frame(const std::string& title, const std::string& subtitle, double height,
                                const std::string& content);

}  // namespace rankexec::plot
