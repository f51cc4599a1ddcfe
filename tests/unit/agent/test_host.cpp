// SPDX-License-Identifier: Apache-2.0
#include "test_host.hpp"

#include <sys/stat.h>

#include <fstream>

#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"

namespace rankexec::test {

std::vector<AddressForm> all_address_forms() {
    return {AddressForm::files, AddressForm::credentials_file, AddressForm::credentials};
}

std::string address_form_name(const ::testing::TestParamInfo<AddressForm>& info) {
    switch (info.param) {
        case AddressForm::files: return "files";
        case AddressForm::credentials_file: return "credentials_file";
        case AddressForm::credentials: return "credentials";
    }
    return "";
}

TestHost::TestHost(AddressForm form) {
    exchange::AgentAddress address{form, folder_.path() + "/pipe"};
    if (form == AddressForm::files) {
        FilePipe::Options options;
        options.root = address.value;
        pipe_ = std::make_unique<FilePipe>(options);
    } else {
        ZeromqPipe::Options options;
        options.run_directory = folder_.path() + "/run";
        options.tcp = form == AddressForm::credentials;
        if (options.tcp) options.advertise_address = "127.0.0.1";
        pipe_ = std::make_unique<ZeromqPipe>(options);
    }
    const auto opened = pipe_->open(kLong);
    EXPECT_TRUE(opened) << opened.error().message;
    if (form == AddressForm::credentials_file) {
        std::ofstream(address.value) << dynamic_cast<ZeromqPipe&>(*pipe_).credentials();
        EXPECT_EQ(::chmod(address.value.c_str(), 0600), 0);
    }
    if (form == AddressForm::credentials) address.value = dynamic_cast<ZeromqPipe&>(*pipe_).credentials();
    address_ = address.to_text();
    reader_ = std::thread([this] { read(); });
}

TestHost::~TestHost() {
    pipe_->close();
    reader_.join();
}

void TestHost::read() {
    while (true) {
        auto received = pipe_->receive(kLong);
        // The next program may come when one has closed its end.
        if (!received && received.error().kind == PipeError::Kind::closed) return;
        if (!received && received.error().kind == PipeError::Kind::broken) pipe_->clear();
        if (!received || !*received) continue;
        if ((*received)->is_heartbeat()) {
            ++heartbeats_;
        } else {
            const std::lock_guard lock(mutex_);
            messages_.push_back(std::move(**received));
        }
        room_.notify();
    }
}

void TestHost::tell(const PipeMessage& message) {
    const auto sent = pipe_->send(message, kLong);
    EXPECT_TRUE(sent) << sent.error().message;
}

PipeMessage TestHost::give(const std::string& task, Shareable input) {
    auto request = PipeMessage::request(task, std::move(input));
    tell(request);
    return request;
}

PipeMessage TestHost::next() {
    const auto deadline = pipe::deadline_after(kLong);
    while (true) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(mutex_);
            if (!messages_.empty()) {
                auto message = std::move(messages_.front());
                messages_.pop_front();
                return message;
            }
        }
        if (pipe::Clock::now() >= deadline) {
            ADD_FAILURE() << "nothing has come";
            return {};
        }
        room_.wait(seen, deadline);
    }
}

bool TestHost::hears_heartbeats(int count) {
    const auto deadline = pipe::deadline_after(kLong);
    while (true) {
        const auto seen = room_.changes();
        if (heartbeats_ >= count) return true;
        if (pipe::Clock::now() >= deadline) return false;
        room_.wait(seen, deadline);
    }
}

Shareable numbered_content(int number) {
    Shareable content;
    content.body = number;
    return content;
}

}  // namespace rankexec::test
