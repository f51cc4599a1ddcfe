// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/numpy/npy_literal.hpp"

#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/numpy/npy.hpp"

namespace rankexec::numpy {
namespace {

constexpr std::size_t kShown = 40;

/// Reads one literal from its beginning to its end; the first error stays.
class Parser {
public:
    explicit Parser(std::string_view text) : rest_(text) {}

    tl::expected<NpyLiteral, std::string> parse() {
        expect('{');
        while (ok() && !take('}')) {
            read_entry();
            if (!take(',') && !next_is('}')) fail("a comma is missing");
        }
        skip_space();
        if (ok() && !rest_.empty()) fail("something comes after it");
        if (ok() && !(descr_ && fortran_order_ && shape_)) fail("not all of descr, fortran_order and shape are there");
        if (!ok()) return tl::unexpected(error_);
        return NpyLiteral{std::move(*descr_), *fortran_order_, std::move(*shape_)};
    }

private:
    [[nodiscard]] bool ok() const { return error_.empty(); }
    void fail(const std::string& what) {
        if (!ok()) return;
        error_ = "its header is malformed: " + what;
        if (!rest_.empty()) error_ += " at \"" + printable(rest_.substr(0, kShown), kShown) + "\"";
    }

    void skip_space() {
        const auto first = rest_.find_first_not_of(" \t\r\n");
        rest_.remove_prefix(first == std::string_view::npos ? rest_.size() : first);
    }
    [[nodiscard]] bool next_is(char character) {
        skip_space();
        return rest_.starts_with(character);
    }
    bool take(char character) {
        if (!ok() || !next_is(character)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool take_word(std::string_view word) {
        skip_space();
        if (!ok() || !rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    void expect(char character) {
        if (!take(character)) fail(std::string("a '") + character + "' is missing");
    }

    void read_entry() {
        const auto key = read_text();
        expect(':');
        if (!ok()) return;
        if (key == "descr" && !descr_) {
            if (next_is('[')) return fail("it has fields (a structured type), and a tensor has none");
            descr_ = read_text();
        } else if (key == "fortran_order" && !fortran_order_) {
            fortran_order_ = read_boolean();
        } else if (key == "shape" && !shape_) {
            shape_ = read_shape();
        } else {
            fail("the key '" + printable(key, kShown) + "' is unknown, or is there twice");
        }
    }

    std::string read_text() {
        skip_space();
        const char quote = rest_.empty() ? '\0' : rest_.front();
        if (quote != '\'' && quote != '"') {
            fail("a quoted text is missing");
            return {};
        }
        const auto end = rest_.find(quote, 1);
        const auto text = end == std::string_view::npos ? rest_ : rest_.substr(1, end - 1);
        if (end == std::string_view::npos || text.find('\\') != std::string_view::npos) {
            fail("a text has no end, or a backslash in it");
            return {};
        }
        std::string copy(text);
        rest_.remove_prefix(end + 1);
        return copy;
    }

    bool read_boolean() {
        if (take_word("True")) return true;
        if (!take_word("False")) fail("neither True nor False");
        return false;
    }

    Shape read_shape() {
        Shape shape;
        expect('(');
        while (ok() && !take(')')) {
            shape.push_back(read_extent());
            if (shape.size() > kMostDimensions) fail("over " + std::to_string(kMostDimensions) + " dimensions");
            if (!take(',') && !next_is(')')) fail("a comma is missing");
        }
        return shape;
    }

    std::int64_t read_extent() {
        skip_space();
        std::int64_t extent = 0;
        const auto parsed = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
        if (parsed.ec != std::errc() || extent < 0) {
            fail("an extent is no number from 0");
            return 0;
        }
        rest_.remove_prefix(static_cast<std::size_t>(parsed.ptr - rest_.data()));
        return extent;
    }

    std::string_view rest_;
    std::string error_;
    std::optional<std::string> descr_;
    std::optional<bool> fortran_order_;
    std::optional<Shape> shape_;
};

}  // namespace

tl::expected<NpyLiteral, std::string> parse_npy_literal(std::string_view text) { return Parser(text).parse(); }

}  // namespace rankexec::numpy
