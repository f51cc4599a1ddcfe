// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/value.hpp"
#include "rankexec/core/toml/toml.hpp"

namespace rankexec {

/// The whole document. Throws ConfigurationError (job_file) with file and line when the text is not valid TOML.
[[nodiscard]] RANKEXEC_EXPORT toml::table parse_toml(std::string_view text, const std::string& file);

/// One table of a job file, read strictly: a key that is not known, a value of another type and a
/// value out of range are errors that name file, line and what was expected.
///
/// Every member function throws ConfigurationError (job_file). Refers to the parsed document, which
/// must outlive it.
class RANKEXEC_EXPORT TomlTable {
public:
    /// Checks that the table has no other keys than `known`. `name` is how messages call the table:
    /// "[group]", or empty for the top of the file.
    TomlTable(const toml::table& table, std::string file, std::string name, std::vector<std::string> known);

    enum class Zero { allowed, refused };
    static constexpr std::chrono::milliseconds kYear = std::chrono::hours(24) * 365;

    [[nodiscard]] bool has(std::string_view key) const { return table_->contains(key); }

    /// Nothing when the key is absent.
    [[nodiscard]] std::optional<std::string> text(std::string_view key) const;
    [[nodiscard]] std::optional<std::int64_t> integer(std::string_view key, std::int64_t lowest,
                                                      std::int64_t highest) const;
    [[nodiscard]] std::optional<bool> boolean(std::string_view key) const;
    /// A number of seconds, whole or not; what is above 0 gives at least a millisecond.
    [[nodiscard]] std::optional<std::chrono::milliseconds> seconds(std::string_view key, Zero zero = Zero::allowed,
                                                                   std::chrono::milliseconds highest = kYear) const;
    /// Empty when the key is absent.
    [[nodiscard]] std::vector<std::string> text_list(std::string_view key) const;
    /// A table of texts as NAME=value, sorted by name. Empty when the key is absent. `objection` to a name: what
    /// is wrong with it, empty when nothing is.
    [[nodiscard]] std::vector<std::string> assignments(
        std::string_view key, const std::function<std::string(std::string_view name)>& objection) const;
    /// A table of anything but dates. Empty when the key is absent.
    [[nodiscard]] Value::Map tree(std::string_view key) const;
    /// The table under the key, called "[key]" in messages; an empty one when the key is absent.
    [[nodiscard]] TomlTable table(std::string_view key, std::vector<std::string> known) const;
    /// The tables of `[[key]]`.
    [[nodiscard]] std::vector<TomlTable> tables(std::string_view key, const std::vector<std::string>& known) const;

    /// As text(), but the key must be there, and not be empty.
    [[nodiscard]] std::string required_text(std::string_view key) const;

    /// Throws with the place of the key (of the table, when it is absent) before the message.
    [[noreturn]] void fail(std::string_view key, const std::string& message) const;

private:
    [[noreturn]] void fail_type(std::string_view key, const toml::node& node, std::string_view wanted) const;
    [[noreturn]] void fail_at(const toml::source_position& place, const std::string& message) const;
    [[nodiscard]] Value value_of(std::string_view key, const toml::node& node) const;
    [[nodiscard]] std::string called(std::string_view key) const;

    const toml::table* table_;
    std::string file_;
    std::string name_;
};

}  // namespace rankexec
