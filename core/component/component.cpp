// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/component/component.hpp"

#include <stdexcept>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/component/executor.hpp"

namespace rankexec {

// Out of line, so that each class has one vtable that plugins and the library share.
Component::~Component() = default;
Executor::~Executor() = default;

void Component::handle_event(const std::string& /*type*/, Context& /*context*/) {}

void Component::quiesce() {}

void Component::fire_event(const std::string& type, Context& context) { engine().fire_event(type, context); }

void Component::fire_one_way(const std::string& type, Context& context) { engine().fire_one_way(type, context); }

Engine& Component::engine() const {
    if (engine_ == nullptr) throw std::logic_error("component used before it was added to an engine");
    return *engine_;
}

ConfigurationError::ConfigurationError(Kind kind, const std::string& message)
    : std::invalid_argument(message), kind_(kind) {}
ConfigurationError::~ConfigurationError() = default;

TensorBuffer Component::allocate(DType dtype, Shape shape) const {
    return engine_ != nullptr ? engine_->allocate(dtype, std::move(shape))
                              : TensorBuffer::make(dtype, std::move(shape));
}

}  // namespace rankexec
