// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/exchanger_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace rankexec {
namespace {

using S = ExchangerState;
using E = ExchangerEvent;
using A = ExchangerAction;
using Row = std::map<E, ExchangerStep>;

/// Written out a second time and in another shape than the table: what every open task has in common, and then state by
/// state.
Row open_task(S without_agent_or_not, std::initializer_list<Row::value_type> own) {
    Row row{{E::result, {without_agent_or_not, A::deliver}},
            {E::bad_result, {without_agent_or_not, A::fail_bad}},
            {E::abort, {without_agent_or_not, A::fail_aborted}},
            {E::end, {S::closed, A::fail_aborted}},
            {E::came, {S::offering, A::give}},
            {E::exhausted, {S::idle, A::fail_exhausted}}};
    row.insert(own);
    return row;
}

const std::map<S, Row> kExpected{
    {S::closed, {{E::start, {S::away, A::none}}}},
    {S::away,
     {{E::came, {S::idle, A::none}},
      {E::task, {S::waiting, A::none}},
      {E::dead, {S::away, A::panic}},
      {E::end, {S::closed, A::none}}}},
    {S::idle,
     {{E::came, {S::idle, A::none}},
      {E::lost, {S::away, A::none}},
      {E::task, {S::offering, A::give}},
      {E::end, {S::closed, A::none}}}},
    {S::waiting, open_task(S::away, {{E::back_with, {S::working, A::none}},
                                     {E::back_without, {S::offering, A::give_again}},
                                     {E::accepted, {S::parted, A::none}},
                                     {E::refused, {S::away, A::fail_refused}},
                                     {E::dead, {S::away, A::fail_dead}}})},
    {S::offering, open_task(S::idle, {{E::accepted, {S::working, A::none}},
                                      {E::back_with, {S::working, A::none}},
                                      {E::refused, {S::idle, A::fail_refused}},
                                      {E::lost, {S::waiting, A::none}}})},
    {S::working, open_task(S::idle, {{E::back_without, {S::idle, A::fail_lost}}, {E::lost, {S::parted, A::none}}})},
    {S::parted, open_task(S::away, {{E::back_with, {S::working, A::none}},
                                    {E::back_without, {S::idle, A::fail_lost}},
                                    {E::dead, {S::away, A::fail_dead}}})},
};

TEST(I5_ExchangerTable, EveryEventInEveryStateDoesWhatIsExpected) {
    for (const auto state : kExchangerStates) {
        for (const auto event : kExchangerEvents) {
            const auto& row = kExpected.at(state);
            const auto expected = row.find(event);
            const auto step = next_step(state, event);
            const auto where = std::string(to_string(state)) + " " + std::string(to_string(event));
            ASSERT_EQ(step.has_value(), expected != row.end()) << where;
            if (!step) continue;
            EXPECT_EQ(to_string(step->next), to_string(expected->second.next)) << where;
            EXPECT_EQ(to_string(step->action), to_string(expected->second.action)) << where;
        }
    }
}

bool ends_a_task(A action) {
    return action != A::none && action != A::give && action != A::give_again && action != A::panic;
}

// The heart of "once": what execute waits for comes exactly when its task ceases to be open.
TEST(I6_ExchangerTable, ATaskEndsExactlyWhereItIsAnsweredOnce) {
    for (const auto state : kExchangerStates) {
        for (const auto event : kExchangerEvents) {
            const auto step = next_step(state, event);
            if (!step) continue;
            const bool ends = has_task(state) && !has_task(step->next);
            EXPECT_EQ(ends, ends_a_task(step->action)) << to_string(state) << " " << to_string(event);
            const bool begins = !has_task(state) && has_task(step->next);
            EXPECT_EQ(begins, begins && event == E::task) << to_string(state);
        }
    }
}

TEST(I4_ExchangerTable, FromEveryStateWithATaskAbortAndEndLeadOut) {
    for (const auto state : kExchangerStates) {
        if (!has_task(state)) continue;
        for (const auto event : {E::abort, E::end}) {
            const auto step = next_step(state, event);
            ASSERT_TRUE(step) << to_string(state);
            EXPECT_FALSE(has_task(step->next)) << to_string(state);
        }
    }
}

TEST(I3_ExchangerTable, EveryStateIsReached) {
    std::set<S> reached{S::closed};
    for (bool grown = true; grown;) {
        grown = false;
        for (const auto state : std::set<S>(reached)) {
            for (const auto event : kExchangerEvents) {
                if (const auto step = next_step(state, event)) grown = reached.insert(step->next).second || grown;
            }
        }
    }
    EXPECT_EQ(reached.size(), kExchangerStates.size());
}

}  // namespace
}  // namespace rankexec
