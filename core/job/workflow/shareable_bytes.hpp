// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"

namespace rankexec::job {

/// A Shareable as one run of bytes, for a store. Fails with the limit of the wire that it exceeds. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Bytes, std::string> to_bytes(const Shareable& shareable);
/// Total: any bytes give a Shareable or an error.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<Shareable, std::string> shareable_from(std::span<const std::byte> bytes);

/// 32 hexadecimal digits that stand for the content: equal for equal ones, different for others.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::string, std::string> digest_of(const Shareable& shareable);

}  // namespace rankexec::job
