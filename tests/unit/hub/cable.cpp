// SPDX-License-Identifier: Apache-2.0
#include "unit/hub/cable.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <utility>

namespace rankexec::test {
namespace {

sockaddr_in local(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

bool write_all(int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
        const auto written = ::send(fd, bytes, size, MSG_NOSIGNAL);
        if (written <= 0) return false;
        bytes += written;
        size -= static_cast<std::size_t>(written);
    }
    return true;
}

}  // namespace

struct Cable::Line {
    UniqueFd client;
    UniqueFd hub;
};

Cable::Cable(const std::string& endpoint)
    : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      hub_port_(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))) {
    auto address = local(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    EXPECT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    loop_.watch(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_one(); });
    thread_ = std::thread([this] { loop_.run(); });
}

Cable::~Cable() {
    cut();
    loop_.stop();
    thread_.join();
}

void Cable::run(const std::function<void()>& work) {
    std::promise<void> done;
    loop_.post([&] {
        work();
        done.set_value();
    });
    done.get_future().wait();
}

void Cable::cut() {
    run([this] {
        for (const auto& line : std::exchange(lines_, {})) {
            loop_.unwatch(line->client.get());
            loop_.unwatch(line->hub.get());
        }
    });
}

void Cable::hold(bool held) {
    run([&] {
        held_ = held;
        for (const auto& line : lines_) watch(line);
    });
}

void Cable::hold_replies(bool held) {
    run([&] {
        replies_held_ = held;
        for (const auto& line : lines_) watch(line);
    });
}

void Cable::accept_one() {
    auto line = std::make_shared<Line>();
    line->client.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    line->hub.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = local(hub_port_);
    if (::connect(line->hub.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    lines_.push_back(line);
    watch(line);
}

void Cable::watch(const std::shared_ptr<Line>& line) {
    const std::weak_ptr<Line> weak = line;
    const auto direction = [&](int fd, bool held, bool from_hub) {
        if (held) return loop_.unwatch(fd);
        loop_.watch(fd, EPOLLIN, [this, weak, from_hub](std::uint32_t) {
            if (const auto there = weak.lock()) pass_on(there, from_hub);
        });
    };
    direction(line->client.get(), held_, false);
    direction(line->hub.get(), held_ || replies_held_, true);
}

void Cable::pass_on(const std::shared_ptr<Line>& line, bool from_hub) {
    std::array<char, 65536> bytes{};
    const int from = from_hub ? line->hub.get() : line->client.get();
    const int to = from_hub ? line->client.get() : line->hub.get();
    const auto size = ::recv(from, bytes.data(), bytes.size(), 0);
    if (size > 0 && write_all(to, bytes.data(), static_cast<std::size_t>(size))) return;
    loop_.unwatch(line->client.get());
    loop_.unwatch(line->hub.get());
    std::erase(lines_, line);
}

}  // namespace rankexec::test
