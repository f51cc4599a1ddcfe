// SPDX-License-Identifier: Apache-2.0
#include "part_controller.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>

#include "rankexec/core/job/workflow/part_topics.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
constexpr const char* kJob = "00112233445566778899aabbccddeeff";

std::string hex_of(std::span<const std::byte> bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text;
    for (const auto byte : bytes) {
        text += kDigits[static_cast<unsigned>(byte) >> 4U];
        text += kDigits[static_cast<unsigned>(byte) & 15U];
    }
    return text;
}

std::string participant_of(const std::string& peer) { return peer.substr(peer.rfind('/') + 1); }

}  // namespace

PartProcess::PartProcess(const PartSetup& setup) { start(setup.to_text(), setup.workspace); }
PartProcess::PartProcess(const std::string& setup_text) { start(setup_text, "/"); }

void PartProcess::start(const std::string& setup_text, const std::string& directory) {
    std::vector<std::string> environment{kPartVariable + std::string("=") + setup_text};
    for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
    std::vector<char*> pointers;
    for (auto& variable : environment) pointers.push_back(variable.data());
    pointers.push_back(nullptr);
    std::string program = RANKEXEC_COMMAND;
    std::string word = "job-part";
    char* const arguments[] = {program.data(), word.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    const auto log = directory == "/" ? std::string("/dev/null") : directory + "/log.txt";
    ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, pointers.data()) != 0) {
        throw std::runtime_error("posix_spawn " + program);
    }
    ::posix_spawn_file_actions_destroy(&actions);
}

PartProcess::~PartProcess() {
    if (status_) return;
    signal(SIGKILL);
    (void)wait();
}

void PartProcess::signal(int number) const { ::kill(pid_, number); }

int PartProcess::wait() {
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) throw std::runtime_error("waitpid");
    status_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return *status_;
}

PartController::PartController(const fs::path& bundle, std::vector<std::string> sites)
    : bundle_(bundle), sites_(std::move(sites)), keys_(curve_keys_from(Secret::random())) {
    auto name = (fs::temp_directory_path() / "rankexec-parts-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    hub::HubServer::Options options;
    options.listen = {"tcp://127.0.0.1:*"};
    options.keys = keys_;
    auto hub = hub::HubServer::make(std::move(options));
    if (!hub) throw std::runtime_error(hub.error().message);
    hub_ = std::move(*hub);
    take_topics();
    hub_->start();
}

PartController::~PartController() {
    hub_->close();
    fs::remove_all(folder_);
}

void PartController::take_topics() {
    hub_->handle(topic::kPartReady, [](hub::Request&&, const hub::Answer& answer) { answer({}); });
    hub_->handle(topic::kFigure, [](hub::Request&&, const hub::Answer&) {});
    hub_->handle(topic::kProgress, [this](hub::Request&& request, const hub::Answer&) {
        const std::lock_guard lock(mutex_);
        lines_.push_back(request.content.header("line")->text_or(""));
        changed_.notify_all();
    });
    hub_->handle(topic::kSaveSnapshot, [this](hub::Request&& request, const hub::Answer& answer) {
        const std::lock_guard lock(mutex_);
        snapshot_ = *request.content.tensor("snapshot");
        answer({});
    });
    hub_->handle(topic::kLoadSnapshot, [this](hub::Request&&, const hub::Answer& answer) {
        const std::lock_guard lock(mutex_);
        Shareable reply;
        if (snapshot_) reply.tensors.emplace("snapshot", *snapshot_);
        answer(std::move(reply));
    });
    hub_->handle(topic::kPartReport, [this](hub::Request&& request, const hub::Answer& answer) {
        const std::lock_guard lock(mutex_);
        if (auto report = part_report_from(request.content.body)) {
            reports_.insert_or_assign(participant_of(request.from), std::move(*report));
        }
        answer({});
    });
}

PartSetup PartController::setup(const std::string& participant, int incarnation) {
    const auto secret = Secret::random();
    hub_->allow(peer_of_part(kJob, participant), curve_keys_from(secret).public_key);
    PartSetup setup;
    setup.job = kJob;
    setup.job_name = "test";
    setup.participant = participant;
    setup.incarnation = incarnation;
    setup.endpoint = hub_->endpoints().front();
    setup.hub_key = hex_of(keys_.public_key);
    setup.secret = hex_of(secret.bytes());
    setup.workspace = workspace(participant).string();
    setup.folder = participant;
    setup.results = results().string();
    setup.sites = sites_;
    setup.min_sites = static_cast<int>(sites_.size());
    if (!fs::exists(setup.workspace)) fs::copy(bundle_, setup.workspace, fs::copy_options::recursive);
    return setup;
}

hub::Reply PartController::ask(const std::string& participant, const char* topic, Value::Map headers) {
    Shareable content;
    content.headers = std::move(headers);
    return hub_->ask(peer_of_part(kJob, participant), topic, std::move(content), std::chrono::seconds(30));
}

std::optional<PartReport> PartController::report(const std::string& participant) {
    const std::lock_guard lock(mutex_);
    const auto found = reports_.find(participant);
    return found == reports_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> PartController::lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
}

void PartController::wait_line(const std::string& start) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
        return std::ranges::any_of(lines_, [&](const std::string& line) { return line.starts_with(start); });
    });
}

}  // namespace rankexec::job
