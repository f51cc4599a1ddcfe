// SPDX-License-Identifier: Apache-2.0
// Fuzz target of the bootstrap file: any text is a Bootstrap, which survives a round trip, or an error.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "rankexec/ipc/transport/bootstrap.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bootstrap = rankexec::Bootstrap::from_text({reinterpret_cast<const char*>(data), size});
    if (!bootstrap) return bootstrap.error().empty() ? (std::abort(), 0) : 0;
    const auto text = bootstrap->to_text();
    const auto again = rankexec::Bootstrap::from_text(text);
    if (!again || again->to_text() != text) std::abort();
    return 0;
}
