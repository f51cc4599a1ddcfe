// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <rankexec/core/component/component.hpp>

namespace digits {

/// The parent's half of the ranks' key-value store: passes each key that a rank sets on to all ranks
/// and remembers nothing. Stateless, so any thread may call it.
class StoreServer : public rankexec::Component {
public:
    void handle_event(const std::string& type, rankexec::Context& context) override;
};

}  // namespace digits
