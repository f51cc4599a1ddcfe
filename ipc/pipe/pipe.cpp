// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe.hpp"

namespace rankexec {

Pipe::Result Pipe::send(const PipeMessage& message, Milliseconds timeout, const Signal& cancel) {
    const auto encoded = encode(message);
    if (!encoded) return tl::unexpected(encoded.error());
    return send(*encoded, timeout, cancel);
}

}  // namespace rankexec
