// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec::job {

/// A thread for each request that may take long. Any thread may call everything.
class RequestThreads {
public:
    RequestThreads() = default;
    ~RequestThreads() { close(); }
    RequestThreads(const RequestThreads&) = delete;
    RequestThreads& operator=(const RequestThreads&) = delete;

    /// False: nothing is run, for it is closed, or no more threads can be started, which is told.
    bool run(std::function<void()> work) {
        std::list<std::thread> ended;
        bool started = true;
        {
            const std::lock_guard lock(mutex_);
            if (closed_) return false;
            ended.splice(ended.end(), ended_);
            try {
                const auto entry = running_.emplace(running_.end());
                *entry = std::thread([this, entry, work = std::move(work)] {
                    work();
                    const std::lock_guard done(mutex_);
                    ended_.splice(ended_.end(), running_, entry);
                    changed_.notify_all();
                });
            } catch (const std::system_error& error) {
                started = false;
                running_.pop_back();
                log::error(std::string("a request cannot be dealt with: ") + error.what());
            }
        }
        for (auto& thread : ended) thread.join();
        return started;
    }

    /// Waits for all that runs.
    void close() {
        std::list<std::thread> ended;
        {
            std::unique_lock lock(mutex_);
            closed_ = true;
            changed_.wait(lock, [this] { return running_.empty(); });
            ended.splice(ended.end(), ended_);
        }
        for (auto& thread : ended) thread.join();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::list<std::thread> running_;
    std::list<std::thread> ended_;
    bool closed_ = false;
};

}  // namespace rankexec::job
