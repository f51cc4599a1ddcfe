// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rankexec::worker {

/// A function of a program or library, and how far into it an address is.
struct SymbolPlace {
    std::string name;  ///< as the compiler mangled it
    std::uint64_t offset = 0;
};

/// The function that lies `offset` bytes behind the beginning of the ELF file `path` once it is loaded.
/// Nothing when the file is stripped, cannot be read, or is none. Any thread.
[[nodiscard]] std::optional<SymbolPlace> find_symbol(const std::string& path, std::uint64_t offset);

}  // namespace rankexec::worker
