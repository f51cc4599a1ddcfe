// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/engine.hpp"

#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

std::string_view name_of(EventOrigin origin) {
    switch (origin) {
        case EventOrigin::local: return "local";
        case EventOrigin::parent: return "parent";
        case EventOrigin::rank: return "rank";
    }
    return "unknown";
}

/// Sets a property for the duration of an event and puts the former one back: the same Context may
/// be on its way through an outer event with another origin.
class ScopedProperty {
public:
    ScopedProperty(Context& context, std::string_view name, Value value)
        : context_(context), name_(name), former_(context.property(name)) {
        context_.set(name_, std::move(value));
    }
    ScopedProperty(const ScopedProperty&) = delete;
    ScopedProperty& operator=(const ScopedProperty&) = delete;
    ~ScopedProperty() {
        if (former_) {
            context_.set(name_, former_->value, former_->visibility, former_->lifetime);
        } else {
            context_.remove(name_);
        }
    }

private:
    Context& context_;
    std::string_view name_;
    std::optional<Property> former_;
};

}  // namespace

struct Engine::State {
    std::shared_ptr<StickyProperties> sticky = std::make_shared<StickyProperties>();
    std::vector<std::unique_ptr<Component>> components;
    TensorAllocator tensor_allocator;
};

Engine::Engine() : state_(std::make_unique<State>()) {}
Engine::~Engine() {
    for (const auto& component : state_->components) component->quiesce();
    // The reverse of the order in which they were added: later components may use earlier ones.
    while (!state_->components.empty()) state_->components.pop_back();
}

Context Engine::received_context(PropertyMap properties, std::span<const std::string_view> own) const {
    return Context::received(state_->sticky, std::move(properties), own);
}

TensorBuffer Engine::allocate(DType dtype, Shape shape) const {
    return TensorBuffer::make(dtype, std::move(shape), state_->tensor_allocator);
}

void Engine::set_tensor_allocator(TensorAllocator allocator) { state_->tensor_allocator = std::move(allocator); }

Component& Engine::add(std::string id, std::unique_ptr<Component> component) {
    if (id.empty()) {
        throw ConfigurationError(ConfigurationError::Kind::component_id_missing,
                                 "a component has no id; give every component a unique, non-empty id");
    }
    if (find(id) != nullptr) {
        throw ConfigurationError(ConfigurationError::Kind::component_id_duplicate,
                                 "two components have the id \"" + id + "\"; ids must be unique");
    }
    component->id_ = std::move(id);
    component->engine_ = this;
    state_->components.push_back(std::move(component));
    return *state_->components.back();
}

Component* Engine::find(std::string_view id) const {
    for (const auto& component : state_->components) {
        if (component->id() == id) return component.get();
    }
    return nullptr;
}

Executor& Engine::executor(std::string_view id) const {
    auto* component = find(id);
    if (component == nullptr) {
        throw ConfigurationError(ConfigurationError::Kind::executor_id_unknown,
                                 "executor_id \"" + std::string(id) + "\" names no component");
    }
    auto* executor = dynamic_cast<Executor*>(component);
    if (executor == nullptr) {
        throw ConfigurationError(
            ConfigurationError::Kind::not_an_executor,
            "component \"" + std::string(id) + "\" is no Executor; executor_id must name one that is");
    }
    return *executor;
}

Context Engine::new_context() const { return Context(state_->sticky); }

void Engine::fire_event(const std::string& type, Context& context) { deliver_event(type, context, EventOrigin::local); }

void Engine::fire_one_way(const std::string& type, Context& context) {
    deliver_event(type, context, EventOrigin::local, -1, true);
}

void Engine::deliver_event(const std::string& type, Context& context, EventOrigin origin, int rank, bool one_way) {
    const ScopedProperty scoped_origin(context, property::kEventOrigin, name_of(origin));
    std::optional<ScopedProperty> scoped_rank;
    if (origin == EventOrigin::rank) scoped_rank.emplace(context, property::kFromRank, rank);
    std::optional<ScopedProperty> scoped_one_way;
    // An event that a handler of a one-way event fires with the same context is not one-way for that.
    if (one_way || context.property(property::kOneWay)) scoped_one_way.emplace(context, property::kOneWay, one_way);
    for (const auto& component : state_->components) {
        try {
            component->handle_event(type, context);
        } catch (const std::exception& error) {
            log::error("component \"" + component->id() + "\": event " + type + ": " + error.what());
        } catch (...) {
            log::error("component \"" + component->id() + "\": event " + type + ": unknown exception");
        }
    }
}

void build_components(Engine& engine, const ComponentRegistry& registry, const std::vector<ComponentSpec>& specs) {
    for (const auto& spec : specs) engine.add(spec.id, registry.build(spec));
}

}  // namespace rankexec
