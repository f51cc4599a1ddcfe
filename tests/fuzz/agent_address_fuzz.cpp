// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the address that a launched program gets: any text is an address, which survives a round trip, or an
// error without the text in it.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "rankexec/ipc/exchange/agent_address.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using rankexec::exchange::AgentAddress;
    const auto address = AgentAddress::parse({reinterpret_cast<const char*>(data), size});
    if (!address) return address.error().message.empty() ? (std::abort(), 0) : 0;
    const auto again = AgentAddress::parse(address->to_text());
    if (!again || !(*again == *address) || address->describe().empty()) std::abort();
    // Its credentials are total too. Files are not opened: what is there is not ours to say.
    if (address->form == AgentAddress::Form::credentials) {
        const auto pipe = rankexec::exchange::open_agent_pipe(*address);
        if (!pipe && pipe.error().message.empty()) std::abort();
    }
    return 0;
}
