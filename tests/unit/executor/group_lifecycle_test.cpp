// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/group_lifecycle.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "rankexec/core/executor/first_cause.hpp"

namespace rankexec {
namespace {

using enum GroupState;
using enum GroupEvent;

/// Written out a second time and in another shape than the table: state by state, what each event
/// does; what is not named is ignored.
const std::map<GroupState, std::map<GroupEvent, GroupState>> kExpected{
    {idle, {{launch, launching}}},
    {launching, {{all_hello, initialising}, {lost, failing}, {close, ending}, {gone, failed}}},
    {initialising, {{all_initialised, ready}, {lost, failing}, {close, ending}, {gone, failed}}},
    {ready, {{lost, failing}, {close, closing}, {gone, failed}}},
    {closing, {{lost, ending}, {grace_over, ending}, {gone, idle}}},
    {ending, {{gone, idle}}},
    {failing, {{close, ending}, {gone, failed}}},
    {failed, {{close, idle}}},
};

TEST(GroupLifecycle, EveryEventInEveryStateDoesWhatIsExpected) {
    for (const auto state : kGroupStates) {
        for (const auto event : kGroupEvents) {
            const auto& row = kExpected.at(state);
            const auto expected = row.find(event);
            const auto next = next_state(state, event);
            EXPECT_EQ(next.has_value(), expected != row.end()) << to_string(state) << " " << to_string(event);
            if (next && expected != row.end()) {
                EXPECT_EQ(*next, expected->second) << to_string(state) << " " << to_string(event);
            }
        }
    }
}

TEST(GroupLifecycle, EveryStateIsReachedAndEveryGroupCanBecomeIdleAgain) {
    std::set<GroupState> reached{idle};
    for (bool grown = true; grown;) {
        grown = false;
        for (const auto state : std::set<GroupState>(reached)) {
            for (const auto event : kGroupEvents) {
                if (const auto next = next_state(state, event)) grown = reached.insert(*next).second || grown;
            }
        }
    }
    EXPECT_EQ(reached.size(), kGroupStates.size());
    for (const auto state : kGroupStates) {
        // Close, and then the end of everything, whatever has happened before.
        auto now = next_state(state, close).value_or(state);
        now = next_state(now, gone).value_or(now);
        EXPECT_EQ(now, idle) << to_string(state);
    }
}

Failure of_rank(int rank) {
    Failure failure;
    failure.rank = rank;
    return failure;
}

TEST(FirstCause, ASignalGoesBeforeAnExitCodeAndThatBeforeAnExceptionWhateverCameFirst) {
    const auto start = FirstCause::Clock::now();
    FirstCause cause;
    EXPECT_FALSE(cause.choose());
    cause.add(FirstCause::Kind::exception, of_rank(3), start);
    EXPECT_EQ(cause.choose()->rank, 3);
    EXPECT_FALSE(cause.has_death());
    cause.add(FirstCause::Kind::death_by_code, of_rank(2), start + std::chrono::milliseconds(1));
    EXPECT_EQ(cause.choose()->rank, 2);
    cause.add(FirstCause::Kind::death_by_signal, of_rank(1), start + std::chrono::milliseconds(2));
    EXPECT_EQ(cause.choose()->rank, 1);
    EXPECT_EQ(cause.choose()->ranks, (std::vector<int>{1, 2, 3}));
    EXPECT_TRUE(cause.has_death());
}

TEST(FirstCause, WithinAKindTheEarliestCounts) {
    const auto start = FirstCause::Clock::now();
    FirstCause cause;
    cause.add(FirstCause::Kind::exception, of_rank(5), start + std::chrono::milliseconds(1));
    cause.add(FirstCause::Kind::exception, of_rank(6), start);
    EXPECT_EQ(cause.choose()->rank, 6);
}

}  // namespace
}  // namespace rankexec
