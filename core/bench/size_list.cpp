// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/bench/size_list.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

namespace rankexec::bench {
namespace {

/// The factor of a unit; nothing for what is none.
std::optional<double> factor_of(std::string_view unit) {
    if (unit.empty() || unit == "B") return 1;
    const auto letters = std::string_view("KMG");
    auto power = letters.find(unit.front());
    if (unit.front() == 'k') power = 0;
    if (power == std::string_view::npos) return std::nullopt;
    const auto rest = unit.substr(1);
    if (rest == "B") return std::pow(1000.0, static_cast<double>(power + 1));
    if (rest.empty() || rest == "iB") return std::pow(1024.0, static_cast<double>(power + 1));
    return std::nullopt;
}

}  // namespace

tl::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
    const auto refusal = [&](const char* why) { return tl::unexpected("'" + std::string(text) + "' " + why); };
    double number = 0;
    const auto [stop, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    const auto factor = factor_of(text.substr(static_cast<std::size_t>(stop - text.data())));
    if (error != std::errc() || !factor) return refusal("is no size; write one as 64, 4KiB, 1MiB or 2GiB");
    const double bytes = number * *factor;
    if (!(bytes >= 0) || bytes > static_cast<double>(kLargestPayload)) return refusal("is not between 0 and 1 TiB");
    return static_cast<std::uint64_t>(std::llround(bytes));
}

std::string format_size(std::uint64_t bytes) {
    constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
    auto number = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; number >= 1024 && unit + 1 < kUnits.size(); ++unit) number /= 1024;
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%.4g %s", number, kUnits.at(unit));
    return text.data();
}

}  // namespace rankexec::bench
