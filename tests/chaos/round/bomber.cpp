// SPDX-License-Identifier: Apache-2.0
#include "bomber.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <random>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "zmtp.hpp"

namespace chaos {
namespace {

using std::chrono::milliseconds;
using zmtp::Connection;

constexpr std::size_t kSilent = 1000;
constexpr std::size_t kBatch = 20;
constexpr std::size_t kDepth = 100'000;
/// For each connection: what the stranger's own work costs this machine is not to be measured.
constexpr milliseconds kPause{1};
/// Of one connection, if it is taken; what is rejected takes a few socket buffers.
constexpr std::size_t kMost = std::size_t{64} << 20U;

class Attack {
public:
    Attack(std::string kind, std::uint64_t seed, std::string endpoint, std::string mechanism, int orders)
        : kind_(std::move(kind)),
          dice_(seed),
          endpoint_(std::move(endpoint)),
          mechanism_(std::move(mechanism)),
          orders_(orders) {}

    Bomber::Report run() {
        while (!over(milliseconds(0))) {
            if (kind_ == "silent") {
                be_silent();
            } else if (kind_ == "truncated" || kind_ == "flipped") {
                harm_handshakes();
                (void)over(kPause * static_cast<int>(kBatch));
            } else {
                throw_bomb();
                (void)over(kPause);
            }
        }
        return report_;
    }

private:
    [[nodiscard]] bool over(milliseconds longest) const {
        pollfd order{.fd = orders_, .events = POLLIN, .revents = 0};
        return ::poll(&order, 1, static_cast<int>(longest.count())) > 0;
    }

    Connection connect() {
        Connection connection(endpoint_);
        if (connection.connected()) ++report_.attempts;
        return connection;
    }

    void throw_bomb() {
        auto connection = connect();
        connection.send(zmtp::greeting(mechanism_));
        const std::string piece(std::size_t{64} << 10U, '\0');
        bool taken = true;
        if (kind_ == "depth") {
            connection.send(zmtp::frame(0, std::string(kDepth, '\x91')));
            (void)connection.receive("", milliseconds(5000));
            taken = !connection.closed();
        } else {
            const bool endless = kind_ == "parts";
            if (!endless) connection.send(zmtp::header(dice_() % 2 * zmtp::kCommand, std::uint64_t{8} << 30U));
            for (std::size_t sent = 0; taken && sent < kMost; sent += piece.size()) {
                taken = connection.send(endless ? zmtp::frame(zmtp::kMore, piece) : piece);
            }
        }
        if (taken) ++report_.accepted;
    }

    /// What a client would say: for CURVE the right length has to do.
    std::string handshake() {
        const auto hello = mechanism_ == "PLAIN" ? zmtp::plain_hello("rank-0", std::string(64, '0'))
                                                 : zmtp::command("HELLO", "\1" + std::string(193, '\0'));
        return zmtp::greeting(mechanism_) + hello + zmtp::metadata_command("INITIATE");
    }

    void harm_handshakes() {
        std::vector<Connection> connections;
        for (std::size_t count = 0; count < kBatch; ++count) {
            auto bytes = handshake();
            std::uniform_int_distribution<std::size_t> place(0, bytes.size() - 1);
            if (kind_ == "truncated") {
                bytes.resize(place(dice_));
            } else {
                for (int flips = 0; flips < 4; ++flips) bytes[place(dice_)] ^= static_cast<char>(1U << (dice_() % 8));
            }
            connections.push_back(connect());
            connections.back().send(bytes);
        }
        // The handshake's limit, and no more.
        for (auto& connection : connections) {
            if (connection.receive("READY", milliseconds(5000)).find("READY") != std::string::npos ||
                !connection.closed()) {
                ++report_.accepted;
            }
        }
    }

    void be_silent() {
        std::vector<Connection> connections;
        while (connections.size() < kSilent && !over(milliseconds(0))) connections.push_back(connect());
        // Until the parent closes them, and then anew.
        for (auto& connection : connections) {
            while (!over(milliseconds(0)) && !connection.closed()) (void)connection.receive("", milliseconds(100));
        }
    }

    std::string kind_;
    std::mt19937_64 dice_;
    std::string endpoint_;
    std::string mechanism_;
    int orders_;
    Bomber::Report report_;
};

[[noreturn]] void be_bomber(const std::string& kind, std::uint64_t seed, int orders, int reports) {
    std::signal(SIGPIPE, SIG_IGN);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    std::array<char, 512> buffer{};
    const auto size = ::read(orders, buffer.data(), buffer.size());
    if (size <= 0) ::_exit(0);
    std::istringstream order(std::string(buffer.data(), static_cast<std::size_t>(size)));
    std::string endpoint;
    std::string mechanism;
    order >> endpoint >> mechanism;
    const auto report = Attack(kind, seed, endpoint, mechanism, orders).run();
    const bool told = ::write(reports, &report, sizeof report) == static_cast<ssize_t>(sizeof report);
    ::_exit(told ? 0 : 1);
}

}  // namespace

Bomber::Bomber(const std::string& kind, std::uint64_t seed) {
    int orders[2];
    int reports[2];
    if (::pipe2(orders, O_CLOEXEC) != 0 || ::pipe2(reports, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    pid_ = ::fork();
    if (pid_ == 0) {
        ::close(orders[1]);
        be_bomber(kind, seed, orders[0], reports[1]);
    }
    ::close(orders[0]);
    ::close(reports[1]);
    orders_ = orders[1];
    reports_ = reports[0];
}

void Bomber::begin(const std::string& endpoint, const std::string& mechanism) {
    const auto order = endpoint + " " + mechanism;
    if (::write(orders_, order.data(), order.size()) != static_cast<ssize_t>(order.size())) {
        throw std::runtime_error("the bomber is gone");
    }
}

Bomber::Report Bomber::end() {
    ::close(orders_);
    orders_ = -1;
    Report report;
    if (::read(reports_, &report, sizeof report) != static_cast<ssize_t>(sizeof report)) {
        throw std::runtime_error("the bomber has not reported");
    }
    return report;
}

Bomber::~Bomber() {
    if (orders_ >= 0) ::close(orders_);
    ::close(reports_);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace chaos
