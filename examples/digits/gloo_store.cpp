// SPDX-License-Identifier: Apache-2.0
#include "gloo_store.hpp"

#include <algorithm>
#include <utility>

#include <gloo/common/error.h>

#include <rankexec/core/component/engine.hpp>

#include "store_events.hpp"

namespace digits {
namespace {

std::string prefix_of(const std::string& name) { return name + "/"; }

rankexec::Bytes to_bytes(const GlooStore::Value& value) {
    rankexec::Bytes bytes(value.size());
    std::transform(value.begin(), value.end(), bytes.begin(), [](char c) { return static_cast<std::byte>(c); });
    return bytes;
}

GlooStore::Value to_chars(const rankexec::Bytes& bytes) {
    GlooStore::Value value(bytes.size());
    std::transform(bytes.begin(), bytes.end(), value.begin(), [](std::byte b) { return static_cast<char>(b); });
    return value;
}

}  // namespace

class GlooStore::Rendezvous : public gloo::rendezvous::Store {
public:
    Rendezvous(GlooStore& store, const std::string& name, rankexec::Signal abort)
        : store_(store),
          prefix_(prefix_of(name)),
          abort_(std::move(abort)),
          subscription_(abort_.on_trigger([&store](const std::string&) { store.wake(); })) {}

    void set(const std::string& key, const std::vector<char>& data) override { store_.set(prefix_ + key, data); }

    std::vector<char> get(const std::string& key) override {
        wait({key}, kDefaultTimeout);
        return store_.get(prefix_ + key);
    }

    void wait(const std::vector<std::string>& keys) override { wait(keys, kDefaultTimeout); }

    void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) override {
        std::vector<std::string> full(keys.size());
        std::transform(keys.begin(), keys.end(), full.begin(), [this](const auto& key) { return prefix_ + key; });
        store_.wait(full, timeout, abort_);
    }

private:
    GlooStore& store_;
    std::string prefix_;
    rankexec::Signal abort_;
    rankexec::Signal::Subscription subscription_;
};

std::unique_ptr<gloo::rendezvous::Store> GlooStore::rendezvous(const std::string& name, rankexec::Signal abort) {
    return std::make_unique<Rendezvous>(*this, name, std::move(abort));
}

void GlooStore::forget(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto prefix = prefix_of(name);
    const auto first = values_.lower_bound(prefix);
    auto last = first;
    while (last != values_.end() && last->first.starts_with(prefix)) ++last;
    values_.erase(first, last);
}

void GlooStore::handle_event(const std::string& type, rankexec::Context& context) {
    if (type != store_event::kChanged) return;
    const auto key = context.get(store_event::kKey);
    const auto value = context.get(store_event::kValue);
    if (!key || key->if_text() == nullptr || !value || value->if_bytes() == nullptr) return;
    {
        const std::lock_guard lock(mutex_);
        values_.insert_or_assign(*key->if_text(), to_chars(*value->if_bytes()));
    }
    changed_.notify_all();
}

void GlooStore::set(const std::string& key, const Value& value) {
    auto context = engine().new_context();
    context.set(store_event::kKey, key);
    context.set(store_event::kValue, to_bytes(value));
    fire_event(std::string(store_event::kSet), context);
    if (context.get(store_event::kKey)) {
        throw gloo::IoException("the parent did not take the key " + key +
                                "; the job's [[parent_components]] must have one of type digits_store_server");
    }
}

void GlooStore::wait(const std::vector<std::string>& keys, std::chrono::milliseconds timeout,
                     const rankexec::Signal& abort) {
    const auto missing = [&] {
        return std::find_if(keys.begin(), keys.end(), [this](const auto& key) { return !values_.contains(key); });
    };
    std::unique_lock lock(mutex_);
    const bool in_time = changed_.wait_for(lock, timeout, [&] { return abort.triggered() || missing() == keys.end(); });
    if (abort.triggered()) throw gloo::IoException("rendezvous ended: " + abort.reason());
    if (!in_time) {
        throw gloo::IoException("no rank has set " + *missing() + " within " + std::to_string(timeout.count()) +
                                " ms; a rank is missing in the rendezvous");
    }
}

GlooStore::Value GlooStore::get(const std::string& key) {
    const std::lock_guard lock(mutex_);
    return values_.at(key);
}

void GlooStore::wake() {
    // Under the lock, so that a waiter is either before its check of the signal or asleep.
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

}  // namespace digits
