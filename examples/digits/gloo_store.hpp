// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <gloo/rendezvous/store.h>

#include <rankexec/core/component/component.hpp>
#include <rankexec/core/model/signal.hpp>

namespace digits {

/// The rank's half of the ranks' key-value store: sets keys through an event to the parent and
/// remembers what the parent's StoreServer says that any rank has set. Any thread may call it.
class GlooStore : public rankexec::Component {
public:
    using Value = std::vector<char>;

    void handle_event(const std::string& type, rankexec::Context& context) override;

    /// A Gloo store whose keys are its own: the same name on another rank means the same keys. Its
    /// waits end early, with gloo::IoException, when `abort` triggers. This component must outlive it.
    [[nodiscard]] std::unique_ptr<gloo::rendezvous::Store> rendezvous(const std::string& name, rankexec::Signal abort);

    /// Drops every key of that name on this rank.
    void forget(const std::string& name);

private:
    class Rendezvous;

    /// Throws gloo::IoException when the parent did not take the key.
    void set(const std::string& key, const Value& value);
    /// Throws gloo::IoException on timeout or abort.
    void wait(const std::vector<std::string>& keys, std::chrono::milliseconds timeout, const rankexec::Signal& abort);
    Value get(const std::string& key);
    void wake();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Value, std::less<>> values_;
};

}  // namespace digits
