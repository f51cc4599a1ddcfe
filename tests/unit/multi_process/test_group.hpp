// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

#include "rankexec/core/executor/multi_process_executor.hpp"

namespace rankexec {

/// In the names of tests.
inline void PrintTo(Transport transport, std::ostream* out) {
    *out << (transport == Transport::automatic ? "memory" : "zeromq");
}

inline MultiProcessOptions options_for(int ranks) {
    MultiProcessOptions options;
    options.group.world_size = ranks;
    options.group.program = {RANKEXEC_TEST_WORKER};
    options.components = {{"executor", "test_executor", {}}};
    options.executor_id = "executor";
    options.on_output = [](int, wire::OutputStream, std::string_view) {};
    return options;
}

inline Shareable with_headers(Value::Map headers) {
    Shareable input;
    input.headers = std::move(headers);
    return input;
}

/// The frames of a stack in one text.
inline std::string joined(const RankStack& stack) {
    std::string text = stack.missing;
    for (const auto& frame : stack.frames) text += frame + "\n";
    return text;
}

/// Tells when every rank has begun the task "hang": only then does an abort find it running.
class HangWatch {
public:
    explicit HangWatch(int ranks) : missing_(ranks) {}
    void install(MultiProcessOptions& options) {
        options.on_output = [this](int, wire::OutputStream, std::string_view bytes) {
            if (bytes.find("hanging") == std::string_view::npos) return;
            const std::lock_guard lock(mutex_);
            --missing_;
            changed_.notify_all();
        };
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return missing_ <= 0; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int missing_;
};

/// A group of test workers that is up.
class Group : public ::testing::TestWithParam<Transport> {
protected:
    void start(int ranks) { start(options_for(ranks)); }
    void start(MultiProcessOptions options) {
        options.transport = GetParam();
        executor = std::make_unique<MultiProcessExecutor>(std::move(options));
        const auto ready = executor->initialise(context);
        ASSERT_TRUE(ready) << ready.error().describe();
    }
    Shareable execute(const std::string& task, const Shareable& input = {}) {
        return executor->execute(task, input, context, abort);
    }

    /// execute() on a thread of its own, which is the one that waits for the ranks.
    std::future<Shareable> start_task(const std::string& task, const Shareable& input = {},
                                      const ExecuteOptions& options = {}) {
        return std::async(std::launch::async,
                          [=, this] { return executor->execute(task, input, context, abort, options).reply; });
    }

    Context context;
    Signal abort;
    std::unique_ptr<MultiProcessExecutor> executor;
};

inline const auto kTransports = ::testing::Values(Transport::automatic, Transport::zeromq);
inline std::string name_of(const ::testing::TestParamInfo<Transport>& info) {
    return ::testing::PrintToString(info.param);
}

}  // namespace rankexec
