// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/channel/resumption.hpp"

#include <utility>

namespace rankexec {
namespace {

constexpr std::size_t kMessagesUnconfirmed = 16;
constexpr std::size_t kBytesUnconfirmed = std::size_t{256} << 10U;

}  // namespace

void Resumption::keep(std::vector<wire::Frame> frames) { unreceived_.push_back(std::move(frames)); }

bool Resumption::received(std::uint64_t last) {
    if (last < forgotten_ || last - forgotten_ > unreceived_.size()) return false;
    unreceived_.erase(unreceived_.begin(), unreceived_.begin() + static_cast<std::ptrdiff_t>(last - forgotten_));
    forgotten_ = last;
    return true;
}

bool Resumption::must_confirm(std::uint16_t type, std::size_t bytes) {
    ++messages_;
    bytes_ += bytes;
    // The rank's environment is not to stay in memory, and a shim's last report is all that it waits for.
    const bool at_once =
        type == wire::type_number<wire::ShimSetup>() || type == wire::type_number<wire::SupervisionEnded>();
    if (!at_once && messages_ < kMessagesUnconfirmed && bytes_ < kBytesUnconfirmed) return false;
    messages_ = bytes_ = 0;
    return true;
}

}  // namespace rankexec
