// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/channel_rules.hpp"

namespace rankexec {
namespace {

template <typename... Allowed>
bool is_one_of(const wire::Message& message) {
    return (std::holds_alternative<Allowed>(message) || ...);
}

}  // namespace

bool allowed_on(ChannelKind kind, Direction direction, const wire::Message& message) {
    const bool to_parent = direction == Direction::to_parent;
    switch (kind) {
        case ChannelKind::execution:
            return to_parent ? is_one_of<wire::Hello, wire::Initialised, wire::Result>(message)
                             : is_one_of<wire::Initialise, wire::Execute, wire::Close>(message);
        case ChannelKind::handler:
            return to_parent ? is_one_of<wire::Attach, wire::EventDone, wire::StackReport>(message)
                             : is_one_of<wire::ParentEvent, wire::AbortTask, wire::ReportStack>(message);
        case ChannelKind::relay:
            return to_parent ? is_one_of<wire::Attach, wire::FireEvent>(message)
                             : is_one_of<wire::EventHandled>(message);
        case ChannelKind::supervision:
            return to_parent ? is_one_of<wire::ShimHello, wire::RankStarted, wire::RankNotStarted, wire::RankOutput,
                                         wire::RankExited, wire::RankOutputEnd, wire::SupervisionEnded,
                                         wire::RankSignalled, wire::RankInputTaken, wire::TailReport>(message)
                             : is_one_of<wire::ShimSetup, wire::RankOutputCredit, wire::RankInput, wire::SignalRanks,
                                         wire::EndGroup, wire::Dismiss, wire::ReportTail>(message);
    }
    return false;
}

bool stands_outside(std::uint16_t type) {
    return type == wire::type_number<wire::Received>() || type == wire::type_number<wire::Resume>();
}

}  // namespace rankexec
