// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>

#include "rankexec/core/bench/axis.hpp"
#include "rankexec/core/bench/plot.hpp"
#include "rankexec/core/bench/size_list.hpp"
#include "rankexec/core/plot/svg.hpp"

namespace rankexec::bench {
namespace {

using plot::escaped;
using plot::line;
using plot::num;
using plot::text_at;

constexpr double kLeft = 78;
constexpr double kRight = 610;
constexpr double kTop = 68;
constexpr double kBottom = 400;
constexpr double kBarLeft = 250;
constexpr double kBarRight = 760;
constexpr double kBarHeight = 34;

/// One colour per series; the limit has none, it is drawn dashed.
std::vector<std::string> colours(const Plot& plot) {
    std::vector<std::string> names;
    int next = 0;
    for (const auto& series : plot.series) names.push_back(series.limit ? "cl" : "c" + std::to_string(next++ % 8));
    return names;
}

class LinePlot {
public:
    explicit LinePlot(const Plot& plot) : plot_(plot), colours_(colours(plot)) {
        double low = INFINITY;
        double high = 0;
        for (const auto& series : plot.series) {
            for (const auto& point : series.points) {
                places_.insert(point.x);
                low = std::min({low, point.y, std::max(point.low, point.y / 10)});
                high = std::max({high, point.y, std::min(point.high, point.y * 10)});
            }
        }
        x_ = {*places_.begin(), *places_.rbegin(), kLeft + 14, kRight - 14};
        y_ = {low / 1.25, high * 1.25, kBottom, kTop};
    }

    [[nodiscard]] std::string draw() const {
        auto content = grid();
        for (std::size_t index = 0; index < plot_.series.size(); ++index) content += curve(index);
        return plot::frame(plot_.title, plot_.subtitle, kBottom + 62, content + legend());
    }

private:
    [[nodiscard]] std::string grid() const {
        std::string content;
        for (const double tick : log_ticks(y_.low, y_.high)) {
            const double y = y_.place(tick);
            content += line(kLeft, y, kRight, y, "grid");
            content += text_at(kLeft - 8, y + 4, figure_text(tick, plot_.unit), "end", "faint");
        }
        double last = -INFINITY;
        for (const double place : places_) {
            const double x = x_.place(place);
            content += line(x, kTop, x, kBottom, "grid");
            if (x - last < 52) continue;
            last = x;
            content += text_at(x, kBottom + 20, place_text(place), "middle", "faint");
        }
        const auto* const what = plot_.axis == Plot::Axis::bytes ? "bytes, logarithmic" : "ranks, logarithmic";
        content += text_at((kLeft + kRight) / 2, kBottom + 44, what, "middle", "faint");
        const auto* const figure =
            plot_.unit == "us" ? "time: less is better, logarithmic" : "rate: more is better, logarithmic";
        return content + text_at(kRight, kTop - 10, figure, "end", "faint");
    }

    [[nodiscard]] std::string place_text(double place) const {
        const auto value = static_cast<std::uint64_t>(place);
        return plot_.axis == Plot::Axis::bytes ? format_size(value) : std::to_string(value);
    }

    /// Limits are dashed, the second one differently.
    [[nodiscard]] std::string line_style(std::size_t index) const {
        const auto& series = plot_.series[index];
        if (!series.limit) return "line " + colours_[index] + (series.ours ? " ours" : "");
        const auto end = plot_.series.begin() + static_cast<std::ptrdiff_t>(index);
        const bool first = std::none_of(plot_.series.begin(), end, [](const auto& other) { return other.limit; });
        return "line " + colours_[index] + (first ? " limit" : " limit second");
    }

    [[nodiscard]] std::string curve(std::size_t index) const {
        const auto& series = plot_.series[index];
        std::string path;
        std::string marks;
        for (const auto& point : series.points) {
            const double x = x_.place(point.x);
            const double y = y_.place(point.y);
            path += (path.empty() ? "M" : "L") + num(x) + " " + num(y);
            marks += line(x, y_.place(point.low), x, y_.place(point.high), "spread " + colours_[index]);
            marks += "<circle cx=\"" + num(x) + "\" cy=\"" + num(y) + "\" r=\"4\" class=\"dot " + colours_[index] +
                     "\"><title>" + escaped(series.name + ": " + figure_text(point.y, plot_.unit)) +
                     "</title></circle>\n";
        }
        return "<path class=\"" + line_style(index) + "\" d=\"" + path + "\"/>\n" + marks;
    }

    /// In the order in which the curves end, from the top.
    [[nodiscard]] std::string legend() const {
        std::vector<std::size_t> order(plot_.series.size());
        for (std::size_t index = 0; index < order.size(); ++index) order[index] = index;
        std::stable_sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
            return plot_.series[left].points.back().y > plot_.series[right].points.back().y;
        });
        std::string content;
        const double distance = std::min(42.0, (kBottom - kTop + 30) / static_cast<double>(order.size()));
        double y = kTop + 10;
        for (const auto index : order) {
            const auto& series = plot_.series[index];
            content += line(kRight + 22, y, kRight + 50, y, line_style(index));
            content += text_at(kRight + 58, y + 4, series.name, "start");
            const auto& last = series.points.back();
            content += text_at(kRight + 58, y + 20, figure_text(last.y, plot_.unit) + " at " + place_text(last.x),
                               "start", "faint");
            y += distance;
        }
        return content;
    }

    const Plot& plot_;
    std::vector<std::string> colours_;
    std::set<double> places_;
    LogAxis x_;
    LogAxis y_;
};

std::string draw_bars(const Plot& plot) {
    const auto colour = colours(plot);
    double most = 0;
    for (const auto& series : plot.series) most = std::max(most, series.points.back().y);
    std::string content;
    double y = kTop + 12;
    for (std::size_t index = 0; index < plot.series.size(); ++index, y += kBarHeight) {
        const auto& point = plot.series[index].points.back();
        const auto place = [&](double value) {
            return kBarLeft + std::min(value / most, 1.0) * (kBarRight - kBarLeft);
        };
        content += text_at(kBarLeft - 10, y + 15, plot.series[index].name, "end");
        content += "<rect x=\"" + num(kBarLeft) + "\" y=\"" + num(y) + "\" width=\"" +
                   num(std::max(place(point.y) - kBarLeft, 1.0)) + "\" height=\"" + num(kBarHeight - 12) +
                   "\" rx=\"2\" class=\"bar " + colour[index] + "\"/>\n";
        content += text_at(place(point.y) + 8, y + 15, figure_text(point.y, plot.unit), "start");
    }
    content += text_at(kBarLeft, y + 12, plot.unit == "us" ? "time: less is better" : "rate: more is better", "start",
                       "faint");
    return plot::frame(plot.title, plot.subtitle, y + 28, content);
}

}  // namespace

std::string to_svg(const Plot& plot) {
    std::set<double> places;
    for (const auto& series : plot.series) {
        for (const auto& point : series.points) places.insert(point.x);
    }
    return places.size() < 2 ? draw_bars(plot) : LinePlot(plot).draw();
}

}  // namespace rankexec::bench
