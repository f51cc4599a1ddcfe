// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/part_setup.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "rankexec/core/toml/toml.hpp"

namespace rankexec::job {
namespace {

toml::array array_of(const std::vector<std::string>& texts) {
    toml::array array;
    for (const auto& text : texts) array.push_back(text);
    return array;
}

/// Throw std::invalid_argument that names the key.
std::string text_at(const toml::table& table, const char* key) {
    const auto value = table[key].value<std::string>();
    if (!value) throw std::invalid_argument(std::string(key) + " is no text");
    return *value;
}
std::int64_t number_at(const toml::table& table, const char* key) {
    const auto value = table[key].value_exact<std::int64_t>();
    if (!value || *value < 0) throw std::invalid_argument(std::string(key) + " is no number");
    return *value;
}
std::vector<std::string> texts_at(const toml::table& table, const char* key) {
    const auto* array = table[key].as_array();
    if (array == nullptr) throw std::invalid_argument(std::string(key) + " is no list");
    std::vector<std::string> texts;
    for (const auto& node : *array) {
        const auto value = node.value<std::string>();
        if (!value) throw std::invalid_argument(std::string(key) + " holds what is no text");
        texts.push_back(*value);
    }
    return texts;
}

bool is_key(const std::string& text) {
    return text.size() == 64 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string PartSetup::to_text() const {
    toml::table table;
    table.insert("job", job);
    table.insert("job_name", job_name);
    table.insert("participant", participant);
    table.insert("incarnation", static_cast<std::int64_t>(incarnation));
    table.insert("endpoint", endpoint);
    table.insert("hub_key", hub_key);
    table.insert("secret", secret);
    table.insert("workspace", workspace);
    table.insert("folder", folder);
    table.insert("results", results);
    table.insert("sites", array_of(sites));
    table.insert("min_sites", static_cast<std::int64_t>(min_sites));
    table.insert("controller_gone_after_ms", static_cast<std::int64_t>(controller_gone_after.count()));
    table.insert("gpus", array_of(gpus));
    table.insert("bundle_code", bundle_code);
    std::ostringstream out;
    out << table;
    return out.str();
}

tl::expected<PartSetup, std::string> PartSetup::from_text(std::string_view text) {
    try {
        const toml::table table = toml::parse(text);
        PartSetup setup;
        setup.job = text_at(table, "job");
        setup.job_name = text_at(table, "job_name");
        setup.participant = text_at(table, "participant");
        setup.incarnation = static_cast<int>(number_at(table, "incarnation"));
        setup.endpoint = text_at(table, "endpoint");
        setup.hub_key = text_at(table, "hub_key");
        setup.secret = text_at(table, "secret");
        setup.workspace = text_at(table, "workspace");
        setup.folder = text_at(table, "folder");
        setup.results = text_at(table, "results");
        setup.sites = texts_at(table, "sites");
        setup.min_sites = static_cast<int>(number_at(table, "min_sites"));
        setup.controller_gone_after = std::chrono::milliseconds(number_at(table, "controller_gone_after_ms"));
        setup.gpus = texts_at(table, "gpus");
        setup.bundle_code = table["bundle_code"].value_or(true);
        if (!is_key(setup.hub_key)) throw std::invalid_argument("hub_key is no key");
        if (!is_key(setup.secret)) throw std::invalid_argument("secret is no key");
        return setup;
    } catch (const toml::parse_error&) {
        return tl::unexpected(std::string(kPartVariable) +
                              " cannot be read; parts of jobs are started by a site or a controller");
    } catch (const std::invalid_argument& error) {
        return tl::unexpected(std::string(kPartVariable) + ": " + error.what());
    }
}

std::string peer_of_part(const std::string& job, const std::string& participant) {
    return "run/" + job + "/" + participant;
}

}  // namespace rankexec::job
