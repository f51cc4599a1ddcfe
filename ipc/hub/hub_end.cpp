// SPDX-License-Identifier: Apache-2.0
#include <future>
#include <memory>
#include <utility>

#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::hub {

HubEnd::~HubEnd() = default;

Reply HubEnd::ask(const std::string& to, const std::string& topic, Shareable content, Milliseconds timeout) {
    // Shared, because set_value() may still be at work in there when get() has returned.
    const auto reply = std::make_shared<std::promise<Reply>>();
    auto coming = reply->get_future();
    request(to, topic, std::move(content), timeout, [reply](Reply&& came) { reply->set_value(std::move(came)); });
    return coming.get();
}

}  // namespace rankexec::hub
