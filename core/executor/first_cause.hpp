// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/failure.hpp"

namespace rankexec {

/// Collects what went wrong in a group within a short window and says what came first by cause: a
/// peer's "connection closed" may overtake the exit report of the rank that closed it.
class RANKEXEC_EXPORT FirstCause {
public:
    using Clock = std::chrono::steady_clock;

    /// In order of precedence.
    enum class Kind {
        death_by_signal,    ///< a rank was killed, and not by us
        death_by_code,      ///< a rank's program exited with a code other than 0
        broken_pipe,        ///< SIGPIPE: who read what it wrote is gone, so somebody else came first
        end_without_cause,  ///< a rank's program exited with 0 before it was told to
        exception,          ///< user code threw, or replied with a failure
        other,              ///< deadline, launcher, protocol
    };

    /// How long reports may still come in that name an earlier cause than the first one did.
    static constexpr std::chrono::milliseconds kSettle{10};
    /// The same after a first report of this kind. One supervisor for all ranks (`one_supervisor`) tells first of the
    /// death that came first, so only a little time is left for ranks that fail alike, to be told together.
    [[nodiscard]] static std::chrono::milliseconds settle_after(Kind kind, bool one_supervisor) noexcept;

    void add(Kind kind, Failure failure, Clock::time_point when = Clock::now());
    [[nodiscard]] bool empty() const noexcept { return reports_.empty(); }
    /// Whether a rank has died: no further report changes more than which one.
    [[nodiscard]] bool has_death() const noexcept;
    /// The cause: the first kind that occurred, and the earliest within it. `ranks` of the failure
    /// holds every rank that reported, when there are several, and `others` what the others reported.
    [[nodiscard]] std::optional<Failure> choose() const;
    /// Adds to `failure.others` what is known here of ranks that it does not tell of yet.
    void tell_of_others(Failure& failure) const;
    void clear() noexcept { reports_.clear(); }

private:
    struct Report {
        Kind kind;
        Failure failure;
        Clock::time_point when;
    };
    std::vector<Report> reports_;
};

/// The kind of a death by its exit status.
[[nodiscard]] RANKEXEC_EXPORT FirstCause::Kind kind_of_death(const ExitStatus& status) noexcept;

}  // namespace rankexec
