// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/model/shareable.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {

/// Reads logs that are being written for those who wait for more of them. Belongs to its loop's thread, but for its
/// making and its end, when the loop does not run.
class RANKEXEC_EXPORT LogReader {
public:
    struct Question {
        std::filesystem::path file;  ///< need not be there yet; empty: nothing but `ended` is waited for
        std::int64_t offset = 0;     ///< from the file's beginning; negative: from its end
        std::int64_t most = 0;       ///< bytes
        std::chrono::milliseconds patience{0};
        std::function<bool()> ended;  ///< whether nobody writes it any more
        std::function<void(Bytes&& piece, bool ended)> answer;
    };

    explicit LogReader(EventLoop& loop) : loop_(loop) {}
    LogReader(const LogReader&) = delete;
    LogReader& operator=(const LogReader&) = delete;

    /// Answers once: as soon as the log has more than `offset`, at its end, or when patience is over.
    void ask(Question question);
    /// Answers what can be answered now: an `ended` may have become true.
    void look();
    /// Answers all that wait.
    void close();

private:
    struct Waiting {
        Question question;
        EventLoop::TimerId timer = 0;
        bool over = false;
    };

    [[nodiscard]] static bool answered(const Waiting& waiting);
    void look_again();
    void watch();
    [[nodiscard]] bool watches(const std::filesystem::path& file) const;

    EventLoop& loop_;
    std::list<Waiting> waiting_;
    UniqueFd changes_;  ///< inotify, as long as somebody waits
    EventLoop::TimerId pause_ = 0;
};

}  // namespace rankexec::job
