// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/environment.hpp"

#include <algorithm>
#include <unordered_map>

namespace rankexec::process {
namespace {

std::string_view name_of(std::string_view entry) { return entry.substr(0, entry.find('=')); }

auto find(Environment& environment, std::string_view name) {
    return std::find_if(environment.begin(), environment.end(),
                        [name](const std::string& entry) { return name_of(entry) == name; });
}

}  // namespace

Environment merge(Environment base, const Environment& additions) {
    std::unordered_map<std::string, std::size_t> places;
    Environment merged;
    merged.reserve(base.size() + additions.size());
    const auto put = [&](std::string entry) {
        const auto [place, added] = places.emplace(name_of(entry), merged.size());
        if (added) {
            merged.push_back(std::move(entry));
        } else {
            merged[place->second] = std::move(entry);
        }
    };
    for (auto& entry : base) put(std::move(entry));
    for (const auto& entry : additions) put(entry);
    return merged;
}

void set_variable(Environment& environment, std::string_view name, std::string_view value) {
    std::string entry(name);
    entry.append("=").append(value);
    const auto found = find(environment, name);
    if (found == environment.end()) {
        environment.push_back(std::move(entry));
    } else {
        *found = std::move(entry);
    }
}

void remove_variable(Environment& environment, std::string_view name) {
    std::erase_if(environment, [name](const std::string& entry) { return name_of(entry) == name; });
}

std::string_view variable(const Environment& environment, std::string_view name) {
    for (const auto& entry : environment) {
        if (name_of(entry) == name && entry.size() > name.size())
            return std::string_view(entry).substr(name.size() + 1);
    }
    return {};
}

}  // namespace rankexec::process
