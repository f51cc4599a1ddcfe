// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::test {

/// Things that have happened, on any thread, and waiting for them.
class Happenings {
public:
    void add(const std::string& what) {
        // Told within the lock: whoever waits may end this right after.
        const std::lock_guard lock(mutex_);
        all_.push_back(what);
        changed_.notify_all();
    }
    /// Until it has happened so often; the test's time-out is the only one.
    void wait(const std::string& what, std::size_t times = 1) const {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return count_of(what) >= times; });
    }
    /// Until so many things have happened.
    void wait_for_all(std::size_t number) const {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return all_.size() >= number; });
    }
    [[nodiscard]] std::size_t count(const std::string& what) const {
        const std::lock_guard lock(mutex_);
        return count_of(what);
    }
    [[nodiscard]] std::vector<std::string> all() const {
        const std::lock_guard lock(mutex_);
        return all_;
    }

private:
    [[nodiscard]] std::size_t count_of(const std::string& what) const {
        return static_cast<std::size_t>(std::count(all_.begin(), all_.end(), what));
    }
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::vector<std::string> all_;
};

[[nodiscard]] inline hub::KeyPair new_keys() { return curve_keys_from(Secret::random()); }

[[nodiscard]] inline Shareable text(const std::string& content) {
    Shareable result;
    result.body = content;
    return result;
}

/// A hub with the usual handlers, and clients of it.
class Hub : public ::testing::Test {
protected:
    using Milliseconds = std::chrono::milliseconds;
    static constexpr Milliseconds kLong{60'000};

    [[nodiscard]] hub::HubServer::Options server_options(const std::string& listen = "tcp://127.0.0.1:*") {
        hub::HubServer::Options options;
        options.listen = {listen};
        options.keys = hub_keys;
        options.heartbeat_interval = Milliseconds(100);
        options.on_connected = [this](const std::string& peer) { seen.add("connected " + peer); };
        options.on_lost = [this](const std::string& peer, const std::string&) { seen.add("lost " + peer); };
        return options;
    }

    void make_server(hub::HubServer::Options options) {
        auto made = hub::HubServer::make(std::move(options));
        ASSERT_TRUE(made.has_value()) << made.error().message;
        server = std::move(*made);
        server->handle("echo", [](hub::Request&& request, hub::Answer answer) { answer(std::move(request.content)); });
        server->handle("who", [](hub::Request&& request, hub::Answer answer) { answer(text(request.from)); });
        endpoint = server->endpoints().front();
    }

    void start_server() {
        make_server(server_options());
        server->start();
    }

    [[nodiscard]] hub::HubClient::Options client_options(const hub::KeyPair& keys) const {
        hub::HubClient::Options options;
        options.connect = endpoint;
        options.hub_key = hub_keys.public_key;
        options.keys = keys;
        options.heartbeat_interval = Milliseconds(100);
        return options;
    }

    [[nodiscard]] static std::unique_ptr<hub::HubClient> make_client(hub::HubClient::Options options) {
        auto made = hub::HubClient::make(std::move(options));
        EXPECT_TRUE(made.has_value()) << made.error().message;
        return std::move(*made);
    }

    /// Allowed, started and connected.
    [[nodiscard]] std::unique_ptr<hub::HubClient> connected_client(const std::string& name) {
        const auto keys = new_keys();
        server->allow(name, keys.public_key);
        auto client = make_client(client_options(keys));
        client->start();
        EXPECT_TRUE(client->wait_connected(kLong));
        return client;
    }

    [[nodiscard]] static std::string text_of(const hub::Reply& reply) {
        EXPECT_TRUE(reply.has_value()) << reply.error().message;
        return reply ? reply->body.text_or("no text") : std::string();
    }

    hub::KeyPair hub_keys = new_keys();
    Happenings seen;
    std::unique_ptr<hub::HubServer> server;
    std::string endpoint;
};

}  // namespace rankexec::test
