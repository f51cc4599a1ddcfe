// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/plot/line_chart.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "rankexec/core/plot/svg.hpp"

namespace rankexec::plot {
namespace {

constexpr double kLeft = 78;
constexpr double kRight = 610;
constexpr double kTop = 68;
constexpr double kBottom = 400;

std::string short_number(double number) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.4g", number);
    return text.data();
}

struct Axis {
    double low = 0;
    double high = 1;
    double begin = 0;
    double end = 1;
    [[nodiscard]] double place(double value) const { return begin + (value - low) / (high - low) * (end - begin); }
};

class Drawing {
public:
    explicit Drawing(const LineChart& chart) : chart_(chart) {
        double low_x = INFINITY;
        double high_x = -INFINITY;
        double low_y = INFINITY;
        double high_y = -INFINITY;
        for (auto& series : chart_.series) {
            std::erase_if(series.points, [](const auto& point) { return !std::isfinite(point.second); });
            for (const auto& [x, y] : series.points) {
                low_x = std::min(low_x, x);
                high_x = std::max(high_x, x);
                low_y = std::min(low_y, y);
                high_y = std::max(high_y, y);
            }
        }
        std::erase_if(chart_.series, [](const LineChart::Series& series) { return series.points.empty(); });
        if (chart_.series.empty()) return;
        x_ticks_ = linear_ticks(low_x, high_x, 10);
        y_ticks_ = linear_ticks(low_y, high_y, 6);
        x_ = {low_x, std::max(high_x, low_x + 1), kLeft + 14, kRight - 14};
        y_ = {y_ticks_.front(), y_ticks_.back(), kBottom, kTop};
    }

    [[nodiscard]] std::string draw() const {
        if (chart_.series.empty()) {
            return frame(chart_.title, chart_.subtitle, 120, text_at(24, 90, "there are no figures", "start"));
        }
        auto content = grid();
        // The main ones lie on top.
        for (const bool main : {false, true}) {
            for (std::size_t index = 0; index < chart_.series.size(); ++index) {
                if (chart_.series[index].main == main) content += curve(index);
            }
        }
        return frame(chart_.title, chart_.subtitle, kBottom + 62, content + legend());
    }

private:
    [[nodiscard]] std::string grid() const {
        std::string content;
        for (const double tick : y_ticks_) {
            content += line(kLeft, y_.place(tick), kRight, y_.place(tick), "grid");
            content += text_at(kLeft - 8, y_.place(tick) + 4, short_number(tick), "end", "faint");
        }
        for (const double tick : x_ticks_) {
            // Steps are whole numbers.
            if (tick != std::floor(tick) || tick < x_.low || tick > x_.high) continue;
            content += line(x_.place(tick), kTop, x_.place(tick), kBottom, "grid");
            content += text_at(x_.place(tick), kBottom + 20, short_number(tick), "middle", "faint");
        }
        return content + text_at((kLeft + kRight) / 2, kBottom + 44, chart_.steps, "middle", "faint");
    }

    [[nodiscard]] bool is_level(std::size_t index) const {
        return chart_.series[index].points.size() == 1 && !chart_.series[index].main;
    }

    [[nodiscard]] std::string style(std::size_t index) const {
        return "line c" + std::to_string(index % 8) + (chart_.series[index].main ? " ours" : "") +
               (is_level(index) ? " limit" : "");
    }

    [[nodiscard]] std::string curve(std::size_t index) const {
        const auto& series = chart_.series[index];
        if (is_level(index)) {
            const double y = y_.place(series.points.front().second);
            return line(kLeft, y, kRight, y, style(index));
        }
        std::string path;
        std::string marks;
        for (const auto& [x, y] : series.points) {
            path += (path.empty() ? "M" : "L") + num(x_.place(x)) + " " + num(y_.place(y));
            marks += "<circle cx=\"" + num(x_.place(x)) + "\" cy=\"" + num(y_.place(y)) + "\" r=\"4\" class=\"dot c" +
                     std::to_string(index % 8) + "\"><title>" + escaped(series.name + ": " + short_number(y)) +
                     "</title></circle>\n";
        }
        return "<path class=\"" + style(index) + "\" d=\"" + path + "\"/>\n" + marks;
    }

    /// In the order in which the curves end, from the top.
    [[nodiscard]] std::string legend() const {
        std::vector<std::size_t> order(chart_.series.size());
        for (std::size_t index = 0; index < order.size(); ++index) order[index] = index;
        std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
            return chart_.series[left].points.back().second > chart_.series[right].points.back().second;
        });
        std::string content;
        const double distance = std::min(42.0, (kBottom - kTop + 30) / static_cast<double>(order.size()));
        double y = kTop + 10;
        for (const auto index : order) {
            const auto& series = chart_.series[index];
            content += line(kRight + 22, y, kRight + 50, y, style(index));
            content += text_at(kRight + 58, y + 4, series.name, "start");
            content += text_at(kRight + 58, y + 20, short_number(series.points.back().second), "start", "faint");
            y += distance;
        }
        return content;
    }

    LineChart chart_;
    std::vector<double> x_ticks_;
    std::vector<double> y_ticks_;
    Axis x_;
    Axis y_;
};

}  // namespace

std::vector<double> linear_ticks(double low, double high, int count) {
    const double span = high > low ? high - low : std::max(std::fabs(low), 1.0) * 0.1;
    const double rough = span / count;
    const double decade = std::pow(10.0, std::floor(std::log10(rough)));
    double step = 10 * decade;
    for (const double factor : {5.0, 2.0, 1.0}) {
        if (factor * decade >= rough) step = factor * decade;
    }
    const auto first = static_cast<std::int64_t>(std::floor(low / step + 1e-9));
    const auto last = std::max(static_cast<std::int64_t>(std::ceil(high / step - 1e-9)), first + 1);
    std::vector<double> ticks;
    for (auto index = first; index <= last; ++index) ticks.push_back(static_cast<double>(index) * step);
    return ticks;
}

std::string to_svg(const LineChart& chart) { return Drawing(chart).draw(); }

}  // namespace rankexec::plot
