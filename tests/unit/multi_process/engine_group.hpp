// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/core/model/event_type.hpp"
#include "rankexec/tests/unit/multi_process/test_group.hpp"

namespace rankexec {

/// Records what the parent's components see, and answers.
class ParentHandler : public Component {
public:
    void handle_event(const std::string& type, Context& context) override {
        std::unique_lock lock(mutex);
        if (type == "rank.metric") {
            ++running;
            most_running = std::max(most_running, running);
            events.push_back({context.integer_or(property::kFromRank, -1), context.integer_or("sender", -1),
                              context.integer_or("number", -1), context.text_or(property::kEventOrigin, "")});
            context.set("seen", static_cast<std::int64_t>(events.size()));
            lock.unlock();
            if (hold) hold->wait();
            if (reenter) reentered = target->execute("echo", {}, context, Signal());
            std::this_thread::yield();
            lock.lock();
            --running;
        }
        if (type == "rank.nest") {
            const auto level = context.integer_or("level", 0);
            deepest = std::max(deepest, level);
            lock.unlock();
            if (level < limit) fire_event("parent.nest", context);
        }
        if (type == "finalise.now") {
            lock.unlock();
            target->finalise();
        }
    }
    struct Seen {
        std::int64_t from_rank, sender, number;
        std::string origin;
    };
    std::mutex mutex;
    std::vector<Seen> events;
    int running = 0;
    int most_running = 0;
    std::int64_t deepest = 0;
    std::int64_t limit = 3;
    std::optional<std::shared_future<void>> hold;  ///< handlers of metrics wait for it
    bool reenter = false;
    Shareable reentered;
    MultiProcessExecutor* target = nullptr;
};

/// Of each sender, numbers from 0 without gaps.
inline void expect_in_order(const std::vector<ParentHandler::Seen>& events, std::size_t senders, std::int64_t each) {
    std::map<std::int64_t, std::int64_t> next;
    for (const auto& seen : events) {
        ASSERT_EQ(seen.number, next[seen.sender]++) << "sender " << seen.sender;
        ASSERT_EQ(seen.from_rank, seen.sender % 100);
    }
    ASSERT_EQ(next.size(), senders);
    for (const auto& [sender, count] : next) EXPECT_EQ(count, each) << "sender " << sender;
}

class WithEngine : public ::testing::Test {
protected:
    void start(MultiProcessOptions options) {
        executor = &static_cast<MultiProcessExecutor&>(
            engine.add("group", std::make_unique<MultiProcessExecutor>(std::move(options))));
        handler = &static_cast<ParentHandler&>(engine.add("handler", std::make_unique<ParentHandler>()));
        handler->target = executor;
        context = engine.new_context();
        engine.fire_event(std::string(event::kStartRun), context);
        ASSERT_EQ(executor->report().state, GroupState::ready);
    }
    ~WithEngine() override {
        if (executor != nullptr) executor->finalise();
    }

    Engine engine;
    MultiProcessExecutor* executor = nullptr;
    ParentHandler* handler = nullptr;
    Context context;
    Signal abort;
};

class EngineGroup : public WithEngine, public ::testing::WithParamInterface<Transport> {
protected:
    void start(MultiProcessOptions options) {
        options.transport = GetParam();
        WithEngine::start(std::move(options));
    }
};

}  // namespace rankexec
