// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/toml/toml_table.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/nearest_name.hpp"

namespace rankexec {
namespace {

std::string name_of(toml::node_type type) {
    switch (type) {
        case toml::node_type::none: return "nothing";
        case toml::node_type::table: return "a table";
        case toml::node_type::array: return "a list";
        case toml::node_type::string: return "text";
        case toml::node_type::integer: return "a whole number";
        case toml::node_type::floating_point: return "a number";
        case toml::node_type::boolean: return "a boolean";
        case toml::node_type::date:
        case toml::node_type::time:
        case toml::node_type::date_time: return "a date or time";
    }
    return "something else";
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

/// Arguments and variables of a process end at their first NUL.
bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

const toml::table& empty_table() {
    static const toml::table instance;
    return instance;
}

}  // namespace

toml::table parse_toml(std::string_view text, const std::string& file) {
    try {
        return toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        throw ConfigurationError(ConfigurationError::Kind::job_file,
                                 file + ":" + std::to_string(error.source().begin.line) +
                                     ": not valid TOML: " + std::string(error.description()));
    }
}

TomlTable::TomlTable(const toml::table& table, std::string file, std::string name, std::vector<std::string> known)
    : table_(&table), file_(std::move(file)), name_(std::move(name)) {
    for (const auto& [key, node] : table) {
        const std::string found(key.str());
        if (std::find(known.begin(), known.end(), found) != known.end()) continue;
        const auto nearest = nearest_name(found, known);
        std::string message = "unknown key \"" + found + "\"";
        if (!name_.empty()) message += " in " + name_;
        message += nearest.empty() ? "; the keys here are " + joined(known) : "; did you mean \"" + nearest + "\"?";
        fail_at(key.source().begin, message);
    }
}

std::string TomlTable::called(std::string_view key) const {
    return "\"" + std::string(key) + "\"" + (name_.empty() ? "" : " in " + name_);
}

void TomlTable::fail_at(const toml::source_position& place, const std::string& message) const {
    const auto line = place ? ":" + std::to_string(place.line) : std::string();
    throw ConfigurationError(ConfigurationError::Kind::job_file, file_ + line + ": " + message);
}

void TomlTable::fail(std::string_view key, const std::string& message) const {
    const auto* node = table_->get(key);
    fail_at(node != nullptr ? node->source().begin : table_->source().begin,
            called(key) + (message.starts_with("is ") || message.starts_with("must ") ? " " : ": ") + message);
}

void TomlTable::fail_type(std::string_view key, const toml::node& node, std::string_view wanted) const {
    fail_at(node.source().begin,
            called(key) + " must be " + std::string(wanted) + ", but it is " + name_of(node.type()));
}

std::optional<std::string> TomlTable::text(std::string_view key) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    const auto* value = node->as_string();
    if (value == nullptr) fail_type(key, *node, "text");
    if (has_nul(value->get())) fail(key, "must not contain a NUL character");
    return value->get();
}

std::string TomlTable::required_text(std::string_view key) const {
    const auto value = text(key);
    if (!value) fail(key, "is missing");
    if (value->empty()) fail(key, "must not be empty");
    return *value;
}

std::optional<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t lowest, std::int64_t highest) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    const auto* value = node->as_integer();
    if (value == nullptr) fail_type(key, *node, "a whole number");
    if (value->get() < lowest || value->get() > highest) {
        fail(key, std::to_string(value->get()) + " is out of range; give a number from " + std::to_string(lowest) +
                      " to " + std::to_string(highest));
    }
    return value->get();
}

std::optional<bool> TomlTable::boolean(std::string_view key) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    const auto* value = node->as_boolean();
    if (value == nullptr) fail_type(key, *node, "true or false");
    return value->get();
}

std::optional<std::chrono::milliseconds> TomlTable::seconds(std::string_view key, Zero zero,
                                                            std::chrono::milliseconds highest) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return std::nullopt;
    const auto number = node->is_number() ? node->value<double>() : std::nullopt;
    if (!number) fail_type(key, *node, "a number of seconds");
    const auto most = static_cast<double>(highest.count()) / 1000;
    const bool positive = zero == Zero::refused;
    // Also refuses not-a-number, which compares false.
    if (!(*number >= 0 && *number <= most) || (positive && *number == 0)) {
        fail(key, std::string("must be a number of seconds ") + (positive ? "above 0, up to " : "from 0 to ") +
                      (highest == kYear ? "a year" : std::to_string(highest.count() / 1000)));
    }
    // Where 0 means for ever, the shortest time must not.
    return std::chrono::milliseconds(std::max(std::llround(*number * 1000), *number > 0 ? 1LL : 0LL));
}

std::vector<std::string> TomlTable::text_list(std::string_view key) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return {};
    const auto* list = node->as_array();
    if (list == nullptr) fail_type(key, *node, "a list of texts");
    std::vector<std::string> texts;
    for (const auto& item : *list) {
        const auto* value = item.as_string();
        if (value == nullptr) fail_type(key, item, "a list of texts only");
        if (has_nul(value->get())) fail(key, "must not contain a NUL character");
        texts.push_back(value->get());
    }
    return texts;
}

std::vector<std::string> TomlTable::assignments(
    std::string_view key, const std::function<std::string(std::string_view name)>& objection) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return {};
    const auto* table = node->as_table();
    if (table == nullptr) fail_type(key, *node, "a table of texts");
    std::vector<std::string> entries;
    for (const auto& [name, item] : *table) {
        const auto* value = item.as_string();
        if (value == nullptr) fail_type(key, item, "a table of texts only");
        const std::string variable(name.str());
        if (has_nul(value->get())) fail(key, "must not contain a NUL character");
        if (variable.empty() || variable.find('=') != std::string::npos || has_nul(variable)) {
            fail_at(name.source().begin, called(key) + ": \"" + variable + "\" is no name for a variable");
        }
        const auto wrong = objection(variable);
        if (!wrong.empty()) fail_at(name.source().begin, called(key) + ": " + wrong);
        entries.push_back(variable + "=" + value->get());
    }
    return entries;
}

Value TomlTable::value_of(std::string_view key, const toml::node& node) const {
    if (const auto* value = node.as_boolean()) return value->get();
    if (const auto* value = node.as_integer()) return static_cast<std::int64_t>(value->get());
    if (const auto* value = node.as_floating_point()) return value->get();
    if (const auto* value = node.as_string()) return value->get();
    if (const auto* list = node.as_array()) {
        Value::Array array;
        for (const auto& item : *list) array.push_back(value_of(key, item));
        return array;
    }
    if (const auto* table = node.as_table()) {
        Value::Map map;
        for (const auto& [name, item] : *table) map.emplace(std::string(name.str()), value_of(key, item));
        return map;
    }
    fail_type(key, node, "made of text, numbers, booleans, lists and tables (write a date as text)");
}

Value::Map TomlTable::tree(std::string_view key) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return {};
    if (!node->is_table()) fail_type(key, *node, "a table");
    auto value = value_of(key, *node);
    return std::move(*value.if_map());
}

TomlTable TomlTable::table(std::string_view key, std::vector<std::string> known) const {
    const auto* node = table_->get(key);
    const auto prefix = name_.empty() ? std::string() : name_.substr(1, name_.size() - 2) + ".";
    auto name = "[" + prefix + std::string(key) + "]";
    if (node == nullptr) return {empty_table(), file_, std::move(name), std::move(known)};
    if (!node->is_table()) fail_type(key, *node, "a table");
    return {*node->as_table(), file_, std::move(name), std::move(known)};
}

std::vector<TomlTable> TomlTable::tables(std::string_view key, const std::vector<std::string>& known) const {
    const auto* node = table_->get(key);
    if (node == nullptr) return {};
    const auto* list = node->as_array();
    if (list == nullptr) fail_type(key, *node, "a list of tables, written [[" + std::string(key) + "]]");
    std::vector<TomlTable> tables;
    for (const auto& item : *list) {
        const auto* table = item.as_table();
        if (table == nullptr) fail_type(key, item, "a list of tables, written [[" + std::string(key) + "]]");
        tables.emplace_back(*table, file_, "[[" + std::string(key) + "]]", known);
    }
    return tables;
}

}  // namespace rankexec
