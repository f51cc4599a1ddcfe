// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "rankexec/core/component/component.hpp"
#include "rankexec/core/component/component_registry.hpp"
#include "rankexec/core/component/component_spec.hpp"
#include "rankexec/core/component/executor.hpp"
#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/tensor_buffer.hpp"

namespace rankexec {

/// Where an event was fired, seen from the process that handles it.
enum class EventOrigin { local, parent, rank };

/// Owns the components of one process and fires events to them, in the order in which they were
/// added.
///
/// add() belongs to the start-up of one thread; everything else may be called from any thread. The
/// engine must outlive every thread that fires events through it; threads of components end in
/// Component::quiesce.
class RANKEXEC_EXPORT Engine {
public:
    Engine();
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    /// Takes the component. Throws ConfigurationError: component_id_missing or component_id_duplicate.
    Component& add(std::string id, std::unique_ptr<Component> component);

    /// The component of that id; nullptr if there is none.
    [[nodiscard]] Component* find(std::string_view id) const;
    /// Throws ConfigurationError: executor_id_unknown or not_an_executor.
    [[nodiscard]] Executor& executor(std::string_view id) const;

    /// A fresh Context that knows the sticky properties.
    [[nodiscard]] Context new_context() const;

    /// Memory for a tensor of a task's reply. On a rank that shares memory with its parent the parent reads it where it
    /// lies, so that a large result is never copied; elsewhere it comes from the heap. Throws as TensorBuffer::make.
    [[nodiscard]] TensorBuffer allocate(DType dtype, Shape shape) const;
    /// Where that memory comes from. Belongs to the start-up.
    void set_tensor_allocator(TensorAllocator allocator);

    /// A Context with the properties of another process's, whose sticky ones replace ours, but for those that are named
    /// `own`. As Context::received.
    [[nodiscard]] Context received_context(PropertyMap properties, std::span<const std::string_view> own) const;

    /// Fires an event that arises here. Returns when every component has handled it; a component's
    /// exception is logged and the next component still sees the event.
    void fire_event(const std::string& type, Context& context);

    /// Likewise, but the other side sends no answer; as Component::fire_one_way.
    void fire_one_way(const std::string& type, Context& context);

    /// Fires an event that came from elsewhere: while it is handled, the context holds its origin
    /// and, for `EventOrigin::rank`, the rank; and whether it is `one_way`.
    void deliver_event(const std::string& type, Context& context, EventOrigin origin, int rank = -1,
                       bool one_way = false);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Builds every component of `specs`, in order, and adds it to the engine.
/// Throws ConfigurationError as ComponentRegistry::build and Engine::add.
RANKEXEC_EXPORT void build_components(Engine& engine, const ComponentRegistry& registry,
                                      const std::vector<ComponentSpec>& specs);

}  // namespace rankexec
