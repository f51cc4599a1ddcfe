// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "rankexec/core/bench/measurement.hpp"

namespace rankexec::bench {

enum class Verdict { within_spread, better, worse, only_now, only_earlier, failed };
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// One case in two records.
struct Difference {
    Case where;
    std::string unit;
    double earlier = 0;  ///< medians; 0: none
    double now = 0;
    double spread = 0;  ///< the greater distance of quartiles of the two
    Verdict verdict = Verdict::within_spread;

    /// now / earlier - 1; 0 when there is no earlier figure.
    [[nodiscard]] double change() const noexcept { return earlier > 0 && now > 0 ? now / earlier - 1 : 0; }
};

/// Every case of ours in either record, those of `now` first and in its order. Medians whose distance is not above the
/// spread count as equal.
[[nodiscard]] std::vector<Difference> compare(const Record& now, const Record& earlier);

}  // namespace rankexec::bench
