// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rankexec/core/component/component.hpp"
#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// Maps component types to factories. Filled at start-up by one thread, then read by any.
class RANKEXEC_EXPORT ComponentRegistry {
public:
    /// Builds a component from its arguments; throws to refuse them, with a message for the user.
    using Factory = std::function<std::unique_ptr<Component>(const Value::Map& args)>;

    /// Throws std::logic_error when the type is already taken.
    void add(std::string type, Factory factory);

    /// For a class that is constructible from `const Value::Map&`, or else without arguments.
    template <typename T>
    void add(std::string type) {
        add(std::move(type), [](const Value::Map& args) -> std::unique_ptr<Component> {
            if constexpr (std::is_constructible_v<T, const Value::Map&>) {
                return std::make_unique<T>(args);
            } else {
                (void)args;
                return std::make_unique<T>();
            }
        });
    }

    /// Builds one component. Throws ConfigurationError: component_id_missing, component_type_unknown
    /// (naming the nearest known type; kOnlyType: all of them), or component_arguments when the factory threw.
    [[nodiscard]] std::unique_ptr<Component> build(const ComponentSpec& spec) const;

    [[nodiscard]] bool contains(const std::string& type) const;
    /// All types, sorted.
    [[nodiscard]] std::vector<std::string> types() const;

private:
    std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace rankexec

/// The entry point of a plugin library that `rankexec-worker --plugin FILE` loads: it adds the
/// plugin's components. Define it once per plugin:
///
///     RANKEXEC_PLUGIN(registry) { registry.add<MyTrainer>("my_trainer"); }
#define RANKEXEC_PLUGIN(registry) \
    extern "C" RANKEXEC_EXPORT void rankexec_register_components(::rankexec::ComponentRegistry& registry)
