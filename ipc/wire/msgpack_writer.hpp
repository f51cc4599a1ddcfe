// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec::wire {

/// Writes msgpack in its shortest form into a buffer, within the limits that a reader enforces: what
/// is written here can be read there.
///
/// After the first error every call fails and nothing more is written. Not thread-safe.
class RANKEXEC_EXPORT MsgpackWriter {
public:
    /// Appends to `buffer`, which must outlive the writer.
    MsgpackWriter(WipedBuffer& buffer, const Limits& limits)
        : buffer_(&buffer), begin_(buffer.size()), limits_(&limits), nodes_left_(limits.nodes) {}

    [[nodiscard]] bool nil();
    [[nodiscard]] bool boolean(bool value);
    [[nodiscard]] bool integer(std::int64_t value);
    [[nodiscard]] bool real(double value);
    [[nodiscard]] bool text(std::string_view value);
    [[nodiscard]] bool bytes(std::span<const std::byte> value);
    /// The elements follow.
    [[nodiscard]] bool array(std::size_t count);
    /// Key and value of each entry follow.
    [[nodiscard]] bool map(std::size_t count);

    /// Records what cannot be written and returns false.
    bool fail(std::string what);
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

private:
    /// Room for one element of at most that many bytes; nullptr when there is none, or was an error before.
    [[nodiscard]] std::byte* begin_element(std::size_t bytes) {
        if (nodes_left_ == 0) return refuse_element();
        --nodes_left_;
        return buffer_->extend(bytes);
    }
    /// The element ends at `end`; what it has not used is given back.
    [[nodiscard]] bool end_element(const std::byte* end);
    [[nodiscard]] std::byte* refuse_element();
    bool refuse_size();
    /// `size` is that of text or bytes.
    [[nodiscard]] bool fits(std::string_view what, std::size_t size);
    [[nodiscard]] bool pack(const auto& write);
    [[nodiscard]] bool one_byte(unsigned byte);
    [[nodiscard]] bool long_text(std::string_view value);
    [[nodiscard]] bool append(const void* content, std::size_t size);

    WipedBuffer* buffer_;
    std::size_t begin_;
    const Limits* limits_;
    std::size_t nodes_left_;  ///< 0 after an error, too
    std::string error_;
};

}  // namespace rankexec::wire
