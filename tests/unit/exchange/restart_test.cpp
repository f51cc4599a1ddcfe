// SPDX-License-Identifier: Apache-2.0
// Real processes that are killed between every two steps: no result is lost, doubled, or taken for another task's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "child.hpp"
#include "ends.hpp"

namespace rankexec::test {
namespace {

using namespace exchange;  // NOLINT: its messages
using std::chrono::milliseconds;
using ::testing::HasSubstr;

/// What all processes of a test have written, counted.
class Ledger {
public:
    explicit Ledger(const std::string& path) {
        std::ifstream file(path);
        std::string word;
        std::string number;
        while (file >> word) {
            if (word == "agent" || word == "exchanger") {
                file >> number;
                ++count_[word + " " + number];
                continue;
            }
            file >> number;
            ++lines_[word][std::atol(number.c_str())];
            std::getline(file, number);
        }
    }
    [[nodiscard]] int of(const std::string& word, long number) const {
        const auto found = lines_.find(word);
        if (found == lines_.end()) return 0;
        const auto entry = found->second.find(number);
        return entry == found->second.end() ? 0 : entry->second;
    }
    [[nodiscard]] int total(const std::string& word) const {
        const auto found = lines_.find(word);
        int sum = 0;
        if (found != lines_.end()) {
            for (const auto& [number, count] : found->second) sum += count;
        }
        return sum;
    }

private:
    std::map<std::string, std::map<long, int>> lines_;
    std::map<std::string, int> count_;
};

class Restarts : public Exchange {
protected:
    [[nodiscard]] std::string ledger_path() const { return base.path() + "/ledger"; }
    std::vector<std::string> arguments(const std::string& side, std::vector<std::string> more) const {
        std::vector<std::string> all{RANKEXEC_EXCHANGE_PEER,  side,
                                     "base=" + base.path(),   "ledger=" + ledger_path(),
                                     "heartbeat_interval=20", "send_timeout=100",
                                     "resend_interval=100",   "count=5",
                                     "connection_timeout=0"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    [[nodiscard]] std::unique_ptr<Child> start(const std::string& side, std::vector<std::string> more = {}) const {
        return std::make_unique<Child>(arguments(side, std::move(more)));
    }
    /// An input of exchange_peer.
    static Shareable numbers() {
        Shareable input;
        input.body["number"] = 1;
        input.body["nonce"] = 2;
        return input;
    }
    /// Every number was begun once, and has one outcome, but for `open` of them, whose exchanger was killed.
    void check(int count, int open) const {
        const Ledger ledger(ledger_path());
        int without = 0;
        for (long number = 1; number <= count; ++number) {
            EXPECT_EQ(ledger.of("begin", number), 1) << number;
            const int outcomes = ledger.of("done", number) + ledger.of("failed", number);
            EXPECT_LE(outcomes, 1) << number;
            if (outcomes == 0) ++without;
            EXPECT_LE(ledger.of("ok", number), 1) << number << ": two processes were told that theirs was taken";
            if (ledger.of("ok", number) == 1) {
                EXPECT_EQ(ledger.of("failed", number), 0) << number << " was taken";
            }
            EXPECT_GE(ledger.of("got", number), ledger.of("done", number)) << number << " comes from nowhere";
        }
        EXPECT_LE(without, open);
        EXPECT_EQ(ledger.total("wrong"), 0);
    }
};

class I6_AgentRestarts : public Restarts, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(, I6_AgentRestarts, ::testing::Values("up", "got", "work", "submit", "ok"),
                         [](const auto& step) { return "At_" + step.param; });

TEST_P(I6_AgentRestarts, CostNoTask) {
    auto exchanger_process = start("exchanger");
    const std::string step = GetParam();
    for (const int at : {1, step == "up" ? 1 : 2, 1}) {
        const auto doomed = start("agent", {"die=" + step, "at=" + std::to_string(at), "work=2"});
        EXPECT_EQ(doomed->wait(), -SIGKILL);
    }
    const auto last = start("agent");
    EXPECT_EQ(exchanger_process->wait(), 0);
    EXPECT_EQ(last->wait(), 0);
    check(5, 0);
    EXPECT_EQ(Ledger(ledger_path()).total("done"), 5);
}

class I6_ExchangerRestarts : public Restarts, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(, I6_ExchangerRestarts, ::testing::Values("up", "begin", "done"),
                         [](const auto& step) { return "At_" + step.param; });

TEST_P(I6_ExchangerRestarts, CostTheirOpenTaskAtMost) {
    const auto agent_process = start("agent", {"work=2"});
    for (int round = 0; round < 2; ++round) {
        const auto doomed = start("exchanger", {"die=" + std::string(GetParam())});
        EXPECT_EQ(doomed->wait(), -SIGKILL);
    }
    const auto last = start("exchanger");
    EXPECT_EQ(last->wait(), 0);
    EXPECT_EQ(agent_process->wait(), 0) << "after the bye";
    check(5, 2);
}

class I6_BothRestart : public Restarts, public ::testing::WithParamInterface<std::tuple<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(
    , I6_BothRestart, ::testing::Combine(::testing::Values("got", "submit", "ok"), ::testing::Values("begin", "done")),
    [](const auto& steps) { return "Agent_" + std::get<0>(steps.param) + "_exchanger_" + std::get<1>(steps.param); });

TEST_P(I6_BothRestart, CostTheOpenTaskAtMost) {
    const auto [agent_step, exchanger_step] = GetParam();
    // Each is started again as soon as it has ended: either may need the other's next process to get to its step.
    const auto in_turn = [this](const std::string& side, const std::vector<std::string>& doomed) {
        return std::async(std::launch::async, [this, side, doomed] {
            EXPECT_EQ(start(side, doomed)->wait(), -SIGKILL) << side;
            EXPECT_EQ(start(side)->wait(), 0) << side;
        });
    };
    const auto exchangers = in_turn("exchanger", {"die=" + std::string(exchanger_step), "at=2"});
    const auto agents = in_turn("agent", {"die=" + std::string(agent_step), "work=2"});
    exchangers.wait();
    agents.wait();
    check(5, 1);
}

/// An agent whose process ends between two messages, as far as its exchanger can tell: a new session that says no bye,
/// because its process is killed. Between all that the protocol has.
class I6_AgentEndsAfter : public Restarts, public ::testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(, I6_AgentEndsAfter,
                         ::testing::Values("connecting", "heartbeat", "task", "accepting", "fetching", "result"),
                         [](const auto& step) { return step.param; });

TEST_P(I6_AgentEndsAfter, AndTheNextOneGetsTheTaskAgain) {
    begin();
    const std::string step = GetParam();
    auto reply = execute("train", with(7));
    auto first = std::make_unique<RawEnd>(RawEnd::Side::agent, place());
    first->wait_until_up();
    std::optional<TaskRef> ref;
    bool answered = false;
    if (step != "connecting") first->answer_heartbeats(HeartbeatAnswer{});
    if (step == "heartbeat") (void)first->expect<Heartbeat>();
    if (step != "connecting" && step != "heartbeat") {
        const auto given = first->expect<GiveTask>();
        ref = std::get<GiveTask>(given.message).ref;
        if (step != "task") {
            first->answer_heartbeats(holding(*ref, step != "accepting"));
            (void)first->send(accepting(*ref), given.id);
        }
        if (step == "fetching" || step == "result") (void)first->send(TaskFetched{*ref});
        if (step == "result") {
            (void)first->send(result_of(*ref, 1));
            answered = is_ready(reply, kLong);
        }
    }
    first.reset();
    if (answered) {
        EXPECT_EQ(reply.get().body.integer_or(0), 1) << "its result had come";
        reply = execute("train", with(7));
    }
    const auto second = raw_agent();
    const auto task = second->get<GiveTask>();
    EXPECT_EQ(task.input.body.integer_or(0), 7);
    if (ref && !answered) {
        EXPECT_EQ(task.ref.task, ref->task);
        EXPECT_EQ(task.ref.attempt, 2);
    }
    if (answered) {
        EXPECT_NE(task.ref.task, ref->task);
    }
    (void)second->send(result_of(task.ref, 2));
    EXPECT_EQ(reply.get().body.integer_or(0), 2);
}

class I3_Restarts : public Restarts {};

// The connection of a killed agent may be held open by what it has forked: silence tells, and a new connection finds
// the next one.
TEST_F(I3_Restarts, AnAgentWhoseForkedChildHoldsTheConnectionIsReplaced) {
    auto options = exchanger_options();
    options.disconnected_after = milliseconds(300);
    begin(options);
    auto first = start("agent", {"work=100000"});
    auto reply = execute("add", numbers());
    EXPECT_NE(first->line_with("got"), "");
    wait_for(ExchangerState::working);
    // Stopped, it holds its sockets as a forked child would; killed while it is stopped it goes at once.
    first->signal(SIGSTOP);
    wait_for(ExchangerState::parted);
    EXPECT_FALSE(is_ready(reply));
    first->signal(SIGKILL);
    (void)first->wait();
    const auto second = start("agent");
    EXPECT_EQ(reply.get().code, ReturnCode::ok);
}

TEST_F(I3_Restarts, AnAgentThatWasStoppedGoesOnWithItsTask) {
    auto options = exchanger_options();
    options.disconnected_after = milliseconds(200);
    begin(options);
    const auto process = start("agent", {"work=1"});
    auto warm = execute("add", numbers());
    EXPECT_TRUE(warm.get().ok());
    process->signal(SIGSTOP);
    auto reply = execute("add", numbers());
    wait_for(ExchangerState::waiting);
    EXPECT_FALSE(is_ready(reply));
    process->signal(SIGCONT);
    EXPECT_TRUE(reply.get().ok());
}

}  // namespace
}  // namespace rankexec::test
