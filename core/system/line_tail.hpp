// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rankexec/core/model/export.hpp"

namespace rankexec {

/// The end of a text that arrives in pieces: the last 64 KiB, and the last lines of them for people. One thread at a
/// time.
class RANKEXEC_EXPORT LineTail {
public:
    static constexpr std::size_t kKeptBytes = std::size_t{64} * 1024;
    static constexpr std::size_t kLines = 20;
    static constexpr std::size_t kFrames = 64;
    static constexpr std::size_t kLineBytes = 1024;

    void append(std::string_view bytes);

    /// The last lines, oldest first, as valid UTF-8: of a line rewritten by carriage returns the last
    /// state, of an overlong line its beginning and its end. Blank lines at the end are left out.
    [[nodiscard]] std::vector<std::string> lines() const { return last_words().lines; }

    struct LastWords {
        std::vector<std::string> lines;  ///< as above, without what belongs to the stack
        std::vector<std::string> stack;  ///< frames that a crashing rank wrote last (crash_marks.hpp)
    };
    [[nodiscard]] LastWords last_words() const;

private:
    [[nodiscard]] std::vector<std::string> last_lines(std::size_t count) const;

    std::string text_;
};

}  // namespace rankexec
