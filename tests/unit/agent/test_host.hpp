// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/ipc/exchange/agent_address.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"
#include "unit/pipe/forms.hpp"

namespace rankexec::test {

using AddressForm = exchange::AgentAddress::Form;

[[nodiscard]] std::vector<AddressForm> all_address_forms();
[[nodiscard]] std::string address_form_name(const ::testing::TestParamInfo<AddressForm>& info);

/// The executor's end of an agent's pipe, without an executor: the test says what it says.
class TestHost {
public:
    explicit TestHost(AddressForm form);
    ~TestHost();
    TestHost(const TestHost&) = delete;
    TestHost& operator=(const TestHost&) = delete;

    /// For RANKEXEC_AGENT.
    [[nodiscard]] const std::string& address() const { return address_; }
    [[nodiscard]] const std::string& folder() const { return folder_.path(); }
    [[nodiscard]] Pipe& pipe() { return *pipe_; }

    /// Sends a task; fails the test when it is not taken. Returns the request.
    PipeMessage give(const std::string& task, Shareable input = {});
    void tell(const PipeMessage& message);
    /// The next message that is no heartbeat; fails the test when there is none.
    [[nodiscard]] PipeMessage next();
    /// Until so many heartbeats have come.
    [[nodiscard]] bool hears_heartbeats(int count);
    void close() { pipe_->close(); }

private:
    void read();

    TemporaryFolder folder_;
    std::unique_ptr<Pipe> pipe_;
    std::string address_;
    pipe::WaitRoom room_;
    std::mutex mutex_;
    std::deque<PipeMessage> messages_;
    std::atomic<int> heartbeats_ = 0;
    std::thread reader_;  ///< on a file pipe a message is taken only when it is read
};

/// An input or result that can be told from others.
[[nodiscard]] Shareable numbered_content(int number);

}  // namespace rankexec::test
