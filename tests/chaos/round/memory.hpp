// SPDX-License-Identifier: Apache-2.0
// What another process's memory holds, as /proc shows it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace chaos {

struct Mapping {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    bool readable = false;
    bool dumped = false;  ///< would be in a core dump, as far as that is the process's decision (MADV_DONTDUMP)
    std::string name;
};
[[nodiscard]] std::vector<Mapping> mappings_of(pid_t pid);

/// Calls back with the content of those of its mappings that are wanted, in pieces that overlap.
void read_memory(pid_t pid, const std::function<bool(const Mapping&)>& wanted,
                 const std::function<void(const Mapping&, std::string_view piece)>& look);

/// The whole file; empty when it cannot be read.
[[nodiscard]] std::string whole_file(const std::string& path);

/// The forms in which a secret may be found: raw, in hexadecimal digits, in base64, wherever in a text that began.
class Needles {
public:
    void add(const std::string& name, std::string_view secret);
    /// Names of what is found there, each once.
    [[nodiscard]] std::vector<std::string> in(std::string_view text) const;
    [[nodiscard]] std::size_t longest() const { return longest_; }

private:
    struct Needle {
        std::string name;
        std::string bytes;
    };
    std::vector<Needle> needles_;
    std::size_t longest_ = 0;
};

}  // namespace chaos
