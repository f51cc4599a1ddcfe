// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rankexec/core/model/tensor.hpp"
#include "rankexec/core/model/tensor_buffer.hpp"

namespace rankexec::bench {

/// The sum of the bytes taken as 64-bit words; as fast as memory can be read.
[[nodiscard]] std::uint64_t checksum(std::span<const std::byte> bytes) noexcept;

struct Payload {
    Tensor tensor;
    std::uint64_t checksum = 0;
};

/// Writes the whole buffer, with contents that depend on `seed`.
[[nodiscard]] Payload build_payload(TensorBuffer buffer, std::uint64_t seed);

/// Makes tensors of one size, each with contents of its own, in three buffers in turn: memory that has been touched
/// before, as in an application that keeps its buffers.
class PayloadSource {
public:
    explicit PayloadSource(std::uint64_t bytes);

    /// Writes the whole buffer. A buffer that somebody still reads is left to them and replaced.
    [[nodiscard]] Payload next(std::uint64_t seed);

private:
    using Words = std::vector<std::uint64_t>;
    std::uint64_t bytes_;
    std::array<std::shared_ptr<Words>, 3> buffers_;
    std::size_t turn_ = 0;
};

}  // namespace rankexec::bench
