// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <unordered_set>

namespace rankexec::job {

/// The tokens of runs that were started, so that none is started twice: the latest of them, which is what anybody
/// still asks for. One thread.
class StartedTokens {
public:
    static constexpr std::size_t kMostKept = 65'536;

    [[nodiscard]] bool contains(const std::string& token) const { return known_.contains(token); }
    void add(const std::string& token) {
        if (!known_.insert(token).second) return;
        order_.push_back(token);
        if (order_.size() <= kMostKept) return;
        known_.erase(order_.front());
        order_.pop_front();
    }
    /// It was not started after all.
    void remove(const std::string& token) {
        known_.erase(token);
        std::erase(order_, token);
    }

private:
    std::unordered_set<std::string> known_;
    std::deque<std::string> order_;
};

}  // namespace rankexec::job
