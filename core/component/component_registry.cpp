// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/component_registry.hpp"

#include <stdexcept>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/nearest_name.hpp"
#include "rankexec/core/component/thrown_type.hpp"

namespace rankexec {
namespace {

ConfigurationError refusal(const ComponentSpec& spec, const std::string& why) {
    return {ConfigurationError::Kind::component_arguments, "component \"" + spec.id + "\" (" + spec.type + "): " + why};
}

ConfigurationError no_only_type(const ComponentSpec& spec, const std::vector<std::string>& types) {
    std::string known;
    for (const auto& type : types) known += (known.empty() ? "" : ", ") + type;
    return {ConfigurationError::Kind::component_type_unknown,
            "component \"" + spec.id + "\": its type is to be the only one, but the worker program registers " +
                (known.empty() ? "none" : "several; name one of " + known)};
}

}  // namespace

void ComponentRegistry::add(std::string type, Factory factory) {
    if (!factories_.emplace(type, std::move(factory)).second) {
        throw std::logic_error("component type \"" + type + "\" is registered twice");
    }
}

std::unique_ptr<Component> ComponentRegistry::build(const ComponentSpec& spec) const {
    if (spec.id.empty()) {
        throw ConfigurationError(
            ConfigurationError::Kind::component_id_missing,
            "a component of type \"" + spec.type + "\" has no id; give every component a unique, non-empty id");
    }
    const auto found =
        spec.type == kOnlyType && factories_.size() == 1 ? factories_.begin() : factories_.find(spec.type);
    if (found == factories_.end() && spec.type == kOnlyType) throw no_only_type(spec, types());
    if (found == factories_.end()) {
        const auto nearest = nearest_name(spec.type, types());
        throw ConfigurationError(
            ConfigurationError::Kind::component_type_unknown,
            "component \"" + spec.id + "\": unknown type \"" + spec.type + "\"" +
                (nearest.empty() ? "; the worker program registers its types, or loads them from a plugin"
                                 : "; did you mean \"" + nearest + "\"?"));
    }
    try {
        auto component = found->second(spec.args);
        if (component) return component;
    } catch (const std::exception& error) {
        throw refusal(spec, error.what());
    } catch (const std::string& said) {
        throw refusal(spec, said);
    } catch (const char* said) {
        throw refusal(spec, said != nullptr ? said : "it threw a null pointer");
    } catch (...) {
        const auto type = name_of_thrown_type();
        throw refusal(spec, "it threw " + (type.empty() ? "something" : type) + ", which is no std::exception");
    }
    throw refusal(spec, "its factory returned nothing");
}

bool ComponentRegistry::contains(const std::string& type) const { return factories_.contains(type); }

std::vector<std::string> ComponentRegistry::types() const {
    std::vector<std::string> names;
    names.reserve(factories_.size());
    for (const auto& [type, factory] : factories_) names.push_back(type);
    return names;
}

}  // namespace rankexec
