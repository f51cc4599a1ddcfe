// SPDX-License-Identifier: Apache-2.0
// A group whose launcher and guardian have ended before its supervisor's last reports have come.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "rankexec/core/executor/rank_group.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/channel/peer_channels.hpp"
#include "rankexec/ipc/transport/transport_server.hpp"

namespace rankexec {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::StartsWith;

/// In the place of rank 0's supervisor, on a thread of this process, where no guardian looks for it. Its rank has
/// exited; what else there is to say it says, or does not, once it is to end, and the guardian has had time to.
class LateShim {
public:
    LateShim(const Bootstrap& bootstrap, bool says_all, bool ended_it) : says_all_(says_all), ended_it_(ended_it) {
        PeerChannels::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, wire::Message&& message) { on_message(message); };
        callbacks.on_broken = [](const std::string& why) { ADD_FAILURE() << why; };
        auto channels = PeerChannels::connect(loop_, bootstrap, PeerRole::shim, 0, {ChannelKind::supervision},
                                              std::move(callbacks));
        EXPECT_TRUE(channels) << channels.error();
        channels_ = std::move(*channels);
        wire::ShimHello hello;
        hello.pid = 1;
        hello.host = "here";
        hello.local_world_size = hello.world_size = 1;
        send(hello);
        thread_ = std::thread([this] {
            loop_.run();
            channels_->close(milliseconds(1000));
        });
    }
    ~LateShim() { finish(); }
    LateShim(const LateShim&) = delete;
    LateShim& operator=(const LateShim&) = delete;

    /// Returns how often it has got input for its rank.
    int finish() {
        if (thread_.joinable()) thread_.join();
        return inputs_;
    }

private:
    void send(const wire::Message& message) { EXPECT_TRUE(channels_->send(ChannelKind::supervision, message)); }

    void on_message(const wire::Message& message) {
        if (std::holds_alternative<wire::ShimSetup>(message)) {
            wire::RankStarted started;
            started.host = "here";
            send(started);
            wire::RankExited exited;
            exited.by_us = ended_it_;
            send(exited);
        }
        if (std::holds_alternative<wire::RankInput>(message)) ++inputs_;
        if (!std::holds_alternative<wire::EndGroup>(message)) return;
        loop_.call_after(milliseconds(300), [this] {
            if (says_all_) {
                wire::RankOutput output;
                for (const char byte : std::string_view("last")) output.bytes.push_back(static_cast<std::byte>(byte));
                send(output);
                send(wire::RankOutputEnd{});
                send(wire::SupervisionEnded{});
            }
            loop_.stop();
        });
    }

    const bool says_all_;
    const bool ended_it_;
    int inputs_ = 0;  ///< of the thread
    EventLoop loop_;
    std::unique_ptr<PeerChannels> channels_;
    std::thread thread_;
};

/// A launcher's command that runs until it may end.
class Launcher {
public:
    Launcher() {
        EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
        EXPECT_EQ(::mkfifo(path().c_str(), 0600), 0);
        fifo_.reset(::open(path().c_str(), O_RDWR | O_CLOEXEC));
    }
    ~Launcher() { std::filesystem::remove_all(folder_); }
    Launcher(const Launcher&) = delete;
    Launcher& operator=(const Launcher&) = delete;
    [[nodiscard]] std::string command_template() const {
        return "sh -c 'read line < " + path() + "' sh {rank_program}";
    }
    void end() const { EXPECT_EQ(::write(fifo_.get(), "\n", 1), 1); }

private:
    [[nodiscard]] std::string path() const { return folder_ + "/end"; }
    std::string folder_ = testing::TempDir() + "rankexec-last-reports-XXXXXX";
    UniqueFd fifo_;
};

/// What is reported, in order.
std::vector<std::string> reports_of_group(bool shim_says_all, bool shim_ended_it = false) {
    std::vector<std::string> reports;
    const Launcher launcher;
    std::unique_ptr<LateShim> shim;
    RankGroup* started_group = nullptr;
    EventLoop loop;
    GroupOptions options;
    options.program = {"/bin/true"};
    options.launcher = "command";
    options.command_template = launcher.command_template();
    RankGroup::Callbacks callbacks;
    callbacks.on_listening = [&](TransportServer& transport) {
        shim = std::make_unique<LateShim>(transport.bootstrap(), shim_says_all, shim_ended_it);
    };
    callbacks.on_started = [&](const wire::RankStarted&) { reports.emplace_back("started"); };
    callbacks.on_output = [&](wire::RankOutput&& output) { reports.emplace_back(output.rank == 0 ? "output" : "?"); };
    callbacks.on_output_end = [&](const wire::RankOutputEnd& end) {
        if (end.rank == 0) reports.emplace_back("output end");
    };
    callbacks.on_exited = [&](const wire::RankExited&) {
        reports.emplace_back("exited");
        // Nobody is left to read it, or to confirm that it has come.
        started_group->write_input({std::byte{'x'}});
        launcher.end();
    };
    callbacks.on_lost = [&](const Failure& failure) { reports.push_back("lost: " + failure.message); };
    callbacks.on_ended = [&](const wire::SupervisionEnded&) {
        reports.emplace_back("ended");
        loop.stop();
    };
    auto group = RankGroup::start(loop, options, std::move(callbacks), true);
    EXPECT_TRUE(group) << group.error().message;
    if (group) {
        started_group = group->get();
        loop.run();
        EXPECT_EQ(shim->finish(), 0);
    }
    return reports;
}

TEST(LastReports, OutputThatComesAfterTheGuardiansEndIsHandedOutBeforeTheGroups) {
    EXPECT_THAT(reports_of_group(true), ElementsAre("started", "exited", "output", "output end", "ended"));
}

TEST(LastReports, ASupervisorThatHasGoneIsNotWaitedFor) {
    EXPECT_THAT(reports_of_group(false), ElementsAre("started", "exited", "ended"));
}

TEST(LastReports, ARankThatItsSupervisorHasEndedUnaskedHasNotEndedWell) {
    EXPECT_THAT(
        reports_of_group(true, true),
        ElementsAre("started", "exited", "output", "output end",
                    StartsWith("lost: rank 0 was ended by its supervisor, without an order from here"), "ended"));
}

}  // namespace
}  // namespace rankexec
