// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec::wire {

/// Writes msgpack in its shortest form into a buffer, within the limits that a reader enforces: what
/// is written here can be read there.
///
/// After the first error every call fails and nothing more is written. Not thread-safe.
class MsgpackWriter {
public:
    /// Appends to `buffer`, which must outlive the writer.
    MsgpackWriter(WipedBytes& buffer, const Limits& limits)
        : buffer_(&buffer), begin_(buffer.size()), limits_(&limits) {}

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
    [[nodiscard]] bool begin_element();
    [[nodiscard]] bool end_element();
    [[nodiscard]] bool fits(std::string_view what, std::size_t size);

    WipedBytes* buffer_;
    std::size_t begin_;
    const Limits* limits_;
    std::size_t nodes_ = 0;
    std::string error_;
};

}  // namespace rankexec::wire
