// SPDX-License-Identifier: Apache-2.0
#include "guarded_group.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <stdexcept>

#include "rankexec/ipc/wire/codec.hpp"

namespace rankexec::test {

namespace fs = std::filesystem;

std::string new_run_id() {
    std::random_device random;
    std::string id;
    while (id.size() < 32) id += "0123456789abcdef"[random() % 16];
    return id;
}

namespace {

wire::Supervise supervise_shell(const std::string& script) {
    wire::Supervise supervise;
    supervise.run_id = new_run_id();
    supervise.program.argv = {"sh", "-c", script};
    for (char** entry = environ; *entry != nullptr; ++entry) supervise.program.environment.emplace_back(*entry);
    supervise.graceful.signal = SIGTERM;
    supervise.forced.signal = SIGKILL;
    supervise.death_signal = SIGKILL;
    return supervise;
}

}  // namespace

wire::Supervise shell_group(int world_size, const std::string& script) {
    auto supervise = supervise_shell(script);
    for (int rank = 0; rank < world_size; ++rank) {
        supervise.ranks.push_back({rank, {"RANK=" + std::to_string(rank)}, {}});
    }
    return supervise;
}

wire::Supervise shell_launcher(const std::string& script) { return supervise_shell(script); }

std::vector<pid_t> processes_of(const std::string& run_id) {
    const std::string mark = "RANKEXEC_RUN_ID=" + run_id;
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        std::ifstream file(entry.path() / "environ", std::ios::binary);
        const std::string environment((std::istreambuf_iterator<char>(file)), {});
        if (environment.find(mark) != std::string::npos) found.push_back(std::stoi(name));
    }
    return found;
}

std::vector<fs::path> control_groups_of(const std::string& run_id) {
    std::vector<fs::path> folders;
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        std::error_code error;
        for (fs::recursive_directory_iterator entry(mount, error), end; entry != end; entry.increment(error)) {
            if (entry->path().filename() == "rankexec-" + run_id) folders.push_back(entry->path());
        }
    }
    return folders;
}

tl::expected<std::unique_ptr<GuardianClient>, Failure> start_supervised(EventLoop& loop,
                                                                        const wire::Supervise& supervise,
                                                                        GuardianClient::Callbacks callbacks) {
    auto client = GuardianClient::start(loop, supervise.run_id, supervise.run_directory,
                                        GuardianClient::Place::our_session, std::move(callbacks));
    if (client) {
        EXPECT_TRUE((*client)->send(supervise));
    }
    return client;
}

GuardedGroup::GuardedGroup(const wire::Supervise& supervise) : run_id(supervise.run_id) {
    auto client = start_supervised(loop, supervise,
                                   {[this](wire::Message&& message) { on_message(std::move(message)); },
                                    [this](bool was_expected) {
                                        gone = true;
                                        expected = was_expected;
                                    }});
    if (!client) throw std::runtime_error(client.error().message);
    guardian = std::move(*client);
}

bool GuardedGroup::run_until(const Condition& condition, std::chrono::seconds longest) {
    const auto deadline = EventLoop::Clock::now() + longest;
    bool over = false;
    const auto timer = loop.call_at(deadline, [&over] { over = true; });
    while (!condition() && !over) loop.run_once(std::chrono::milliseconds(-1));
    loop.cancel(timer);
    return condition();
}

void GuardedGroup::on_message(wire::Message&& message) {
    if (!std::holds_alternative<wire::RankOutput>(message)) order.emplace_back(wire::name_of(message));
    if (auto* start = std::get_if<wire::RankStarted>(&message)) started[start->rank] = *start;
    if (auto* failed = std::get_if<wire::RankNotStarted>(&message)) not_started[failed->rank] = *failed;
    if (auto* exit = std::get_if<wire::RankExited>(&message)) {
        EXPECT_FALSE(exited.contains(exit->rank));
        exited[exit->rank] = *exit;
    }
    if (auto* end = std::get_if<wire::RankOutputEnd>(&message)) {
        ++output_ends[end->rank];
        log_errors[end->rank] = end->log_error;
    }
    if (auto* taken = std::get_if<wire::RankInputTaken>(&message)) input_taken[taken->rank] += taken->bytes;
    if (auto* exit = std::get_if<wire::LauncherExited>(&message)) launcher_exited.push_back(*exit);
    if (auto* end = std::get_if<wire::SupervisionEnded>(&message)) ended.push_back(*end);
    if (auto* piece = std::get_if<wire::RankOutput>(&message)) {
        const std::string text(reinterpret_cast<const char*>(piece->bytes.data()), piece->bytes.size());
        output[piece->rank] += text;
        if (piece->stream == wire::OutputStream::standard_error) errors[piece->rank] += text;
        if (grants) guardian->send(wire::RankOutputCredit{piece->rank, piece->bytes.size()});
    }
}

}  // namespace rankexec::test
