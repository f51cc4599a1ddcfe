// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/job/backend/run_backend.hpp"

namespace rankexec::job::test {

/// For waits that end by themselves unless something is broken.
inline constexpr std::chrono::seconds kLong{60};

/// What a backend's on_end was told.
class EndRecorder {
public:
    using Ends = std::vector<std::pair<std::string, RunEnd>>;

    void listen_to(RunBackend& backend) {
        backend.on_end([this](const std::string& job, const RunEnd& end) {
            {
                const std::lock_guard lock(mutex_);
                ends_.emplace_back(job, end);
            }
            changed_.notify_all();
        });
    }
    /// The end number `count` of that job, from 1.
    RunEnd wait_for(const std::string& job, int count = 1) {
        std::unique_lock lock(mutex_);
        RunEnd found;
        const auto there = [&] {
            int seen = 0;
            for (const auto& [name, end] : ends_) {
                if (name != job || ++seen < count) continue;
                found = end;
                return true;
            }
            return false;
        };
        if (!changed_.wait_for(lock, kLong, there)) ADD_FAILURE() << "job " << job << " has not ended";
        return found;
    }
    Ends all() {
        const std::lock_guard lock(mutex_);
        return ends_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    Ends ends_;
};

inline std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

/// A folder of its own, and runs in it.
class RunFolder : public ::testing::Test {
protected:
    RunFolder() {
        auto name = (std::filesystem::temp_directory_path() / "rankexec-backend-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
        folder_ = name;
    }
    ~RunFolder() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
    /// A run of a shell's script, in the folder; its token is the job's.
    [[nodiscard]] RunSpec shell(const std::string& job, const std::string& script) const {
        RunSpec spec;
        spec.job = job;
        spec.participant = "site-a";
        spec.token = "token-" + job;
        spec.command = {"/bin/sh", "-c", script};
        spec.directory = folder_;
        spec.log = folder_ / "log";
        return spec;
    }
    /// Whoever reads from it waits until it is ended.
    [[nodiscard]] std::string fifo(const std::string& name) const {
        const auto path = (folder_ / name).string();
        if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo");
        return path;
    }
    /// What another process writes there.
    void wait_for_text(const std::filesystem::path& path, const std::string& text) const;
    /// Until something that files of that folder say is true; false: it has not become true.
    [[nodiscard]] static bool wait_in(const std::filesystem::path& folder, const std::function<bool()>& condition);
    /// Those that it has not waited for.
    [[nodiscard]] static std::vector<std::string> children_of_this_process();

private:
    std::filesystem::path folder_;
};

}  // namespace rankexec::job::test
