// SPDX-License-Identifier: Apache-2.0
#include "store_server.hpp"

#include <rankexec/core/component/engine.hpp>

#include "store_events.hpp"

namespace digits {

void StoreServer::handle_event(const std::string& type, rankexec::Context& context) {
    if (type != store_event::kSet) return;
    const auto key = context.get(store_event::kKey);
    const auto value = context.get(store_event::kValue);
    if (!key || key->if_text() == nullptr || !value || value->if_bytes() == nullptr) return;
    auto changed = engine().new_context();
    changed.set(store_event::kKey, *key);
    changed.set(store_event::kValue, *value);
    fire_event(std::string(store_event::kChanged), changed);
    // Taken out of the run's context, which would otherwise carry them to the ranks with every later
    // message; that they are gone also tells the rank that somebody took them.
    context.remove(store_event::kKey);
    context.remove(store_event::kValue);
}

}  // namespace digits
