// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/delay_line.hpp"

#include <cstdlib>
#include <string_view>
#include <utility>

namespace rankexec {

DelayLine::DelayLine(EventLoop& loop) : loop_(loop) {
    const char* text = std::getenv("RANKEXEC_TEST_DELAY");
    if (text == nullptr) return;
    const std::string_view setting(text);
    const auto colon = setting.find(':');
    if (colon == std::string_view::npos) return;
    for (const auto kind : {ChannelKind::execution, ChannelKind::handler, ChannelKind::relay}) {
        if (setting.substr(0, colon) == to_string(kind)) slow_ = kind;
    }
    delay_ = std::chrono::milliseconds(std::atoi(text + colon + 1));
}

void DelayLine::hold_back(std::function<void()> action) {
    // Timers of equal delay run in the order in which they were set.
    loop_.call_after(delay_, std::move(action));
}

}  // namespace rankexec
