// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// One-shot abort with a reason: once triggered it stays so. A Signal is a handle, copies mean the
/// same signal. Every member function may be called from any thread, none from a signal handler.
class RANKEXEC_EXPORT Signal {
    struct State;

public:
    Signal();

    /// Triggers; true for the first caller, whose reason stays. Subscribers are called on this thread.
    bool trigger(std::string reason) const;

    [[nodiscard]] bool triggered() const noexcept;
    /// Empty until triggered.
    [[nodiscard]] std::string reason() const;

    /// Blocks until triggered.
    void wait() const;
    /// Blocks until triggered or the time has passed; true when triggered.
    [[nodiscard]] bool wait_for(std::chrono::nanoseconds time) const;

    /// Ends its subscription when destroyed, and waits for a call that is under way on another thread.
    class RANKEXEC_EXPORT Subscription {
    public:
        Subscription() = default;
        Subscription(Subscription&& other) noexcept;
        Subscription& operator=(Subscription&& other) noexcept;
        ~Subscription();

    private:
        friend class Signal;
        Subscription(std::shared_ptr<State> state, std::uint64_t id);
        void reset() noexcept;
        std::shared_ptr<State> state_;
        std::uint64_t id_ = 0;
    };

    /// Calls `callback(reason)` once when triggered, at once if it already is. The callback must not
    /// throw and must not destroy its own subscription.
    [[nodiscard]] Subscription on_trigger(std::function<void(const std::string& reason)> callback) const;

private:
    std::shared_ptr<State> state_;
};

}  // namespace rankexec
