// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::test {

/// What a client connects to in place of a hub on this host: passes bytes on, and can be cut.
class Cable {
public:
    /// `endpoint`: of the hub, tcp on 127.0.0.1.
    explicit Cable(const std::string& endpoint);
    ~Cable();
    Cable(const Cable&) = delete;
    Cable& operator=(const Cable&) = delete;

    [[nodiscard]] std::string endpoint() const { return "tcp://127.0.0.1:" + std::to_string(port_); }
    /// Ends all connections; new ones are made as before.
    void cut();
    /// Nothing passes any more, and nobody is told.
    void hold(bool held);
    /// Only from the hub.
    void hold_replies(bool held);

private:
    struct Line;
    void accept_one();
    void pass_on(const std::shared_ptr<Line>& line, bool from_hub);
    void watch(const std::shared_ptr<Line>& line);
    void run(const std::function<void()>& work);

    EventLoop loop_;
    UniqueFd listener_;
    int port_ = 0;
    int hub_port_ = 0;
    bool held_ = false;
    bool replies_held_ = false;
    std::vector<std::shared_ptr<Line>> lines_;
    std::thread thread_;
};

}  // namespace rankexec::test
