// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "rankexec/core/model/context.hpp"
#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/tensor_buffer.hpp"

namespace rankexec {

class Engine;

/// User code that takes part in a run: it is built from a ComponentSpec, owned by one Engine, and
/// sees every event of its process.
///
/// handle_event may be called from several threads at once (on a rank: the task thread and the event
/// thread), so what it shares with execute() needs its own synchronisation.
class RANKEXEC_EXPORT Component {
public:
    Component() = default;
    Component(const Component&) = delete;
    Component& operator=(const Component&) = delete;
    virtual ~Component();

    /// Called for every event. Changes to `context` go back to whoever fired it. An exception is
    /// logged and never becomes an event.
    virtual void handle_event(const std::string& type, Context& context);

    /// Called once, before the first component of the engine is destroyed. A component with threads of
    /// its own returns only when none of them fires events any more.
    virtual void quiesce();

    /// The id from its spec; empty before it was added to an Engine.
    [[nodiscard]] const std::string& id() const noexcept { return id_; }

protected:
    /// Fires an event in the engine that owns this component, which relays it to the other side (from
    /// a rank to the parent, from the parent to all ranks) and returns when it was handled there.
    /// Throws std::logic_error before the component was added to an Engine.
    void fire_event(const std::string& type, Context& context);

    /// Likewise, but returns when this process's components have handled it and it is on its way to the other side:
    /// what those there set or remove is not seen here, and only they learn of what goes wrong there. In order with all
    /// events that this process fires, and none is lost while the group is up: who fires faster than the other side
    /// handles waits for room. A task's execute() returns to its caller only when all events that were fired before
    /// its end have been handled.
    void fire_one_way(const std::string& type, Context& context);

    /// Memory for a tensor of a task's reply; as Engine::allocate. From the heap before the component was added to an
    /// Engine.
    [[nodiscard]] TensorBuffer allocate(DType dtype, Shape shape) const;

    [[nodiscard]] bool in_engine() const noexcept { return engine_ != nullptr; }
    /// The owning engine; throws std::logic_error before the component was added to one.
    [[nodiscard]] Engine& engine() const;

private:
    friend class Engine;
    std::string id_;
    Engine* engine_ = nullptr;
};

}  // namespace rankexec
