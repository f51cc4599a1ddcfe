// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {

/// A process of `rankexec job-part`; killed and reaped when this goes.
class PartProcess {
public:
    explicit PartProcess(const PartSetup& setup);
    explicit PartProcess(const std::string& setup_text);
    ~PartProcess();
    PartProcess(const PartProcess&) = delete;
    PartProcess& operator=(const PartProcess&) = delete;

    /// Until it has ended: its exit code, or minus the signal.
    int wait();
    void signal(int number) const;
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    void start(const std::string& setup_text, const std::string& directory);
    pid_t pid_ = -1;
    std::optional<int> status_;
};

/// What a controller is to the parts of a job: a hub, and the topics that parts speak to it.
class PartController {
public:
    /// `bundle`: copied into a workspace for each participant.
    PartController(const std::filesystem::path& bundle, std::vector<std::string> sites);
    ~PartController();
    PartController(const PartController&) = delete;
    PartController& operator=(const PartController&) = delete;

    [[nodiscard]] PartSetup setup(const std::string& participant, int incarnation = 1);
    [[nodiscard]] std::filesystem::path results() const { return folder_ / "results"; }
    [[nodiscard]] std::filesystem::path workspace(const std::string& participant) const {
        return folder_ / participant;
    }
    [[nodiscard]] hub::Reply ask(const std::string& participant, const char* topic, Value::Map headers);
    /// That the part has told. Nothing when it has not.
    [[nodiscard]] std::optional<PartReport> report(const std::string& participant);
    [[nodiscard]] std::vector<std::string> lines();
    /// Blocks until a line of progress begins like that.
    void wait_line(const std::string& start);

private:
    void take_topics();

    std::filesystem::path folder_;
    std::filesystem::path bundle_;
    std::vector<std::string> sites_;
    std::unique_ptr<hub::HubServer> hub_;
    hub::KeyPair keys_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::optional<Tensor> snapshot_;
    std::map<std::string, PartReport> reports_;
    std::vector<std::string> lines_;
};

}  // namespace rankexec::job
