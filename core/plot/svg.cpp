// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/plot/svg.hpp"

#include <array>
#include <cstdio>

#include "rankexec/core/model/utf8.hpp"

namespace rankexec::plot {
namespace {

// Colours that the colour-blind tell apart, for a light and for a dark background; no CSS variables, which not every
// viewer of SVG knows.
constexpr const char* kStyle = R"css(<style>
.rx{font:13px system-ui,-apple-system,"Segoe UI",sans-serif}.rx .title{font-size:17px;font-weight:600}
.rx .grid{stroke-width:1}.rx .line{fill:none;stroke-width:2.2;stroke-linejoin:round}
.rx .ours{stroke-width:3.4}.rx .limit{stroke-dasharray:7 4}.rx .limit.second{stroke-dasharray:2 4}.rx .spread{stroke-width:1.4;opacity:.55}
.rx .dot{fill:currentColor;stroke:none}.rx .bar{stroke:none;fill:currentColor;opacity:.85}
.rx .paper{fill:#ffffff}.rx text{fill:#1c2430}.rx text.faint{fill:#66707f}.rx .grid{stroke:#e3e6eb}
.rx .c0{stroke:#0060c8;color:#0060c8}.rx .c1{stroke:#d1460a;color:#d1460a}.rx .c2{stroke:#00835f;color:#00835f}
.rx .c3{stroke:#a83b9e;color:#a83b9e}.rx .c4{stroke:#8a6a00;color:#8a6a00}.rx .c5{stroke:#0a8fb5;color:#0a8fb5}
.rx .c6{stroke:#6b5bd0;color:#6b5bd0}.rx .c7{stroke:#b3234d;color:#b3234d}.rx .cl{stroke:#66707f;color:#66707f}
@media(prefers-color-scheme:dark){
.rx .paper{fill:#14181d}.rx text{fill:#e8ebf0}.rx text.faint{fill:#9aa4b2}.rx .grid{stroke:#2c333d}
.rx .c0{stroke:#5aa9ff;color:#5aa9ff}.rx .c1{stroke:#ff8a52;color:#ff8a52}.rx .c2{stroke:#3fd0a2;color:#3fd0a2}
.rx .c3{stroke:#e48bdc;color:#e48bdc}.rx .c4{stroke:#dcb94a;color:#dcb94a}.rx .c5{stroke:#55cdf0;color:#55cdf0}
.rx .c6{stroke:#a99cff;color:#a99cff}.rx .c7{stroke:#ff7a9d;color:#ff7a9d}.rx .cl{stroke:#9aa4b2;color:#9aa4b2}}
</style>)css";

}  // namespace

std::string num(double number) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f", number);
    return text.data();
}

std::string text_at(double x, double y, const std::string& text, const char* anchor, const char* style) {
    return "<text x=\"" + num(x) + "\" y=\"" + num(y) + "\" text-anchor=\"" + anchor + "\" class=\"" + style + "\">" +
           escaped(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& style) {
    return "<line x1=\"" + num(x1) + "\" y1=\"" + num(y1) + "\" x2=\"" + num(x2) + "\" y2=\"" + num(y2) +
           "\" class=\"" + style + "\"/>\n";
}

std::string escaped(const std::string& text) {
    std::string result;
    for (const char byte : replace_invalid_utf8(text)) {
        switch (byte) {
            case '&': result += "&amp;"; break;
            case '<': result += "&lt;"; break;
            case '>': result += "&gt;"; break;
            case '"': result += "&quot;"; break;
            default: result += static_cast<unsigned char>(byte) < 0x20U ? ' ' : byte;
        }
    }
    return result;
}

std::string frame(const std::string& title, const std::string& subtitle, double height, const std::string& content) {
    return "<svg class=\"rx\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + num(kWidth) + " " + num(height) +
           "\" role=\"img\" aria-label=\"" + escaped(title) + "\">\n" + kStyle + "\n<rect class=\"paper\" width=\"" +
           num(kWidth) + "\" height=\"" + num(height) + "\"/>\n" + text_at(24, 30, title, "start", "title") +
           text_at(24, 50, subtitle, "start", "faint") + content + "</svg>\n";
}

}  // namespace rankexec::plot
