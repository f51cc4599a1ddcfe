// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/context.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace rankexec {

void ContextChanges::merge(const ContextChanges& later) {
    for (const auto& name : later.removed) {
        set.erase(name);
        removed.insert(name);
    }
    for (const auto& [name, property] : later.set) {
        removed.erase(name);
        set.insert_or_assign(name, property);
    }
}

namespace {

/// Facts about the event being delivered: each process sets its own, so they neither travel nor
/// count as changes.
bool describes_event(std::string_view name) {
    return name == property::kEventOrigin || name == property::kFromRank || name == property::kOneWay;
}

}  // namespace

struct StickyProperties::State {
    mutable std::mutex mutex;
    PropertyMap properties;
};

StickyProperties::StickyProperties() : state_(std::make_unique<State>()) {}
StickyProperties::~StickyProperties() = default;

void StickyProperties::set(std::string_view name, Property property) {
    const std::lock_guard lock(state_->mutex);
    state_->properties.insert_or_assign(std::string(name), std::move(property));
}

void StickyProperties::remove(std::string_view name) {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->properties.find(name);
    if (found != state_->properties.end()) state_->properties.erase(found);
}

PropertyMap StickyProperties::snapshot() const {
    const std::lock_guard lock(state_->mutex);
    return state_->properties;
}

PropertyMap StickyProperties::replace(const PropertyMap& properties, std::span<const std::string_view> own) {
    const auto is_own = [&](std::string_view name) { return std::ranges::find(own, name) != own.end(); };
    const std::lock_guard lock(state_->mutex);
    auto& sticky = state_->properties;
    PropertyMap kept;
    for (const auto name : own) {
        if (const auto found = sticky.find(name); found != sticky.end())
            kept.insert_or_assign(found->first, found->second);
    }
    erase_if(sticky, [&](const auto& entry) {
        if (is_own(entry.first)) return false;
        const auto found = properties.find(entry.first);
        return found == properties.end() || found->second.lifetime != Lifetime::sticky;
    });
    for (const auto& [name, property] : properties) {
        if (property.lifetime == Lifetime::sticky && !is_own(name)) sticky.insert_or_assign(name, property);
    }
    return kept;
}

struct Context::State {
    State(std::shared_ptr<StickyProperties> store, PropertyMap first)
        : sticky(std::move(store)), properties(std::move(first)) {}

    void set(std::string_view name, Property property) {
        locals.erase(std::string(name));
        if (!describes_event(name)) {
            changes.removed.erase(std::string(name));
            changes.set.insert_or_assign(std::string(name), property);
        }
        // A property that stops being sticky must not come back in later contexts.
        if (property.lifetime == Lifetime::sticky) {
            sticky->set(name, property);
        } else if (is_sticky(name)) {
            sticky->remove(name);
        }
        properties.insert_or_assign(std::string(name), std::move(property));
    }

    void apply(const ContextChanges& later) {
        for (const auto& name : later.removed) remove(name);
        for (const auto& [name, property] : later.set) set(name, property);
    }

    [[nodiscard]] std::shared_ptr<State> clone() const {
        auto copy = std::make_shared<State>(sticky, properties);
        copy->locals = locals;
        return copy;
    }

    void remove(std::string_view name) {
        locals.erase(std::string(name));
        const auto found = properties.find(name);
        if (found == properties.end()) return;
        if (found->second.lifetime == Lifetime::sticky) sticky->remove(name);
        properties.erase(found);
        if (describes_event(name)) return;
        changes.set.erase(std::string(name));
        changes.removed.insert(std::string(name));
    }

    [[nodiscard]] bool is_sticky(std::string_view name) const {
        const auto found = properties.find(name);
        return found != properties.end() && found->second.lifetime == Lifetime::sticky;
    }

    mutable std::mutex mutex;
    std::shared_ptr<StickyProperties> sticky;
    PropertyMap properties;
    NameMap<std::any> locals;
    ContextChanges changes;
};

Context::Context() : Context(std::make_shared<StickyProperties>()) {}
Context::Context(std::shared_ptr<StickyProperties> sticky) {
    auto properties = sticky->snapshot();
    state_ = std::make_shared<State>(std::move(sticky), std::move(properties));
}

Context Context::received(std::shared_ptr<StickyProperties> sticky, PropertyMap properties,
                          std::span<const std::string_view> own) {
    auto kept = sticky->replace(properties, own);
    for (const auto name : own) {
        if (const auto found = kept.find(name); found != kept.end()) {
            properties.insert_or_assign(found->first, std::move(found->second));
        } else {
            properties.erase(std::string(name));
        }
    }
    Context context(std::make_shared<State>(std::move(sticky), std::move(properties)));
    return context;
}

void Context::set(std::string_view name, Value value, Visibility visibility, Lifetime lifetime) {
    const std::lock_guard lock(state_->mutex);
    state_->set(name, Property{std::move(value), visibility, lifetime});
}

void Context::set_local(std::string_view name, std::any object) {
    const std::lock_guard lock(state_->mutex);
    state_->remove(name);
    state_->locals.insert_or_assign(std::string(name), std::move(object));
}

void Context::remove(std::string_view name) {
    const std::lock_guard lock(state_->mutex);
    state_->remove(name);
}

std::optional<Value> Context::get(std::string_view name) const {
    auto found = property(name);
    if (!found) return std::nullopt;
    return std::move(found->value);
}

std::int64_t Context::integer_or(std::string_view name, std::int64_t fallback) const {
    const auto value = get(name);
    return value ? value->integer_or(fallback) : fallback;
}

std::string Context::text_or(std::string_view name, std::string_view fallback) const {
    const auto value = get(name);
    return value ? value->text_or(fallback) : std::string(fallback);
}

std::optional<Property> Context::property(std::string_view name) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->properties.find(name);
    if (found == state_->properties.end()) return std::nullopt;
    return found->second;
}

std::any Context::local(std::string_view name) const {
    const std::lock_guard lock(state_->mutex);
    const auto found = state_->locals.find(name);
    return found == state_->locals.end() ? std::any{} : found->second;
}

PropertyMap Context::serialisable() const {
    const std::lock_guard lock(state_->mutex);
    auto properties = state_->properties;
    erase_if(properties, [](const auto& entry) { return describes_event(entry.first); });
    return properties;
}

Context Context::clone() const {
    const std::lock_guard lock(state_->mutex);
    return Context(state_->clone());
}

ContextChanges Context::changes() const {
    const std::lock_guard lock(state_->mutex);
    return state_->changes;
}

void Context::forget_changes() {
    const std::lock_guard lock(state_->mutex);
    state_->changes = {};
}

void Context::apply(const ContextChanges& changes) {
    const std::lock_guard lock(state_->mutex);
    state_->apply(changes);
}

Context Context::clone_with(const ContextChanges& changes) {
    const std::lock_guard lock(state_->mutex);
    state_->apply(changes);
    return Context(state_->clone());
}

}  // namespace rankexec
