// SPDX-License-Identifier: Apache-2.0
// A controller, a site, or a part of a job is killed at a change of a job's status, and started again: every job ends,
// with a status that is true, no part of it has run twice, and nothing is held or left.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>

#include "../round/round.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"

extern char** environ;

namespace chaos {
namespace {

namespace job = rankexec::job;
namespace fs = std::filesystem;

constexpr int kJobs = 3;
constexpr const char* kSites[] = {"a", "b"};
constexpr std::chrono::seconds kLong{90};

/// A process of chaos_job_party.
class Party {
public:
    explicit Party(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), CHAOS_JOB_PARTY);
        int input[2] = {};
        int output[2] = {};
        if (::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
        std::vector<char*> argv;
        for (auto& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        const int result = ::posix_spawn(&pid_, CHAOS_JOB_PARTY, &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        ::close(input[0]);
        ::close(output[1]);
        input_ = input[1];
        output_ = output[0];
        if (result != 0) throw std::runtime_error("posix_spawn");
    }
    ~Party() { kill(); }
    Party(const Party&) = delete;
    Party& operator=(const Party&) = delete;

    void kill() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGKILL);
        reap();
    }
    /// Lets it end by itself.
    void close() {
        ::close(input_);
        input_ = -1;
    }
    /// The next line; nothing when it has ended, or says none for too long.
    std::optional<std::string> line() {
        const auto deadline = Clock::now() + kLong;
        while (true) {
            if (const auto end = text_.find('\n'); end != std::string::npos) {
                auto first = text_.substr(0, end);
                text_.erase(0, end + 1);
                return first;
            }
            const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
            pollfd poll{output_, POLLIN, 0};
            if (left.count() <= 0 || ::poll(&poll, 1, static_cast<int>(left.count())) <= 0) return std::nullopt;
            std::array<char, 4096> buffer{};
            const auto size = ::read(output_, buffer.data(), buffer.size());
            if (size <= 0) return std::nullopt;
            text_.append(buffer.data(), static_cast<std::size_t>(size));
        }
    }
    void reap() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = 0;
        if (input_ >= 0) ::close(input_);
        ::close(output_);
        input_ = output_ = -1;
    }

private:
    pid_t pid_ = 0;
    int input_ = -1;
    int output_ = -1;
    std::string text_;
};

fs::path make_folder() {
    auto path = (fs::temp_directory_path() / "rxj-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no folder");
    return path;
}

struct Mark {
    std::string job;
    std::string participant;
    pid_t pid = 0;
};

std::vector<Mark> marks_in(const fs::path& folder) {
    std::vector<Mark> marks;
    std::ifstream file(folder / "marks");
    Mark mark;
    while (file >> mark.job >> mark.participant >> mark.pid) marks.push_back(mark);
    return marks;
}

class Round {
public:
    explicit Round(const RoundOptions& round) : round_(round), dice_(round.seed) {
        auto own = job::Identity::create(job::Role::controller, "controller");
        own.save(folder_ / "controller" / job::kIdentityFile);
        const job::PeerDirectory peers(folder_ / "controller" / job::kPeersFolder);
        for (const auto* site : kSites) {
            auto identity = job::Identity::create(job::Role::site, site);
            identity.controller = own.public_part();
            identity.save(folder_ / (std::string(site) + ".site"));
            if (!peers.add({identity.public_part(), {}})) throw std::runtime_error("enrol");
        }
        fs::create_directories(folder_ / "job" / "part");
        std::ofstream(folder_ / "job" / "part" / "part.toml") << "";
        std::ofstream(folder_ / "job" / "job.toml")
            << "name = \"job\"\nmin_sites = 2\n[workflow]\ntype = \"x\"\n[[parts]]\nfolder = \"part\"\nsites = "
               "[\"@ALL\"]\ncores = 1\n";
        if (!job::pack_folder(folder_ / "job", folder_ / "bundle")) throw std::runtime_error("pack");
    }
    ~Round() {
        controller_.reset();
        sites_.clear();
        std::error_code ignored;
        fs::remove_all(folder_, ignored);
    }
    Round(const Round&) = delete;
    Round& operator=(const Round&) = delete;

    Outcome run() {
        const auto dash = round_.variant.find('-');
        const auto who = round_.variant.substr(0, dash);
        const auto event = round_.variant.substr(dash + 1);
        const auto begin = Clock::now();
        for (const auto* site : kSites) start_site(site);
        if (who == "controller") {
            start_controller({event, std::to_string(1 + dice_.roll(kJobs))});
            while (controller_->line()) {
            }
            controller_->reap();
            start_controller({});
        } else {
            start_controller({});
            if (!wait_for(event)) return Outcome::failed("no event " + event);
            sleep_up_to(milliseconds(60));
            if (who == "site") {
                const auto* site = kSites[dice_.roll(2)];
                sites_[site].reset();
                start_site(site);
            } else {
                kill_a_part(who == "part");
            }
        }
        return look(who, begin);
    }

private:
    void start_site(const std::string& name) {
        sites_[name] = std::make_unique<Party>(std::vector<std::string>{"site", folder_.string(), name});
    }
    void start_controller(const std::vector<std::string>& death) {
        std::vector<std::string> arguments{"controller", folder_.string(), std::to_string(kJobs)};
        arguments.insert(arguments.end(), death.begin(), death.end());
        controller_ = std::make_unique<Party>(std::move(arguments));
    }
    bool wait_for(const std::string& event) {
        int wanted = 1 + dice_.roll(kJobs);
        while (const auto line = controller_->line()) {
            if (line->starts_with("event " + event + " ") && --wanted == 0) return true;
            if (*line == "over") return true;
        }
        return false;
    }
    void sleep_up_to(milliseconds longest) { ::usleep(static_cast<useconds_t>(dice_.up_to(longest).count())); }

    void kill_a_part(bool of_site) {
        std::vector<Mark> candidates;
        for (const auto& mark : marks_in(folder_)) {
            if ((mark.participant != "controller") == of_site) candidates.push_back(mark);
        }
        if (candidates.empty()) return;
        // Of the job that was started last; it may have ended.
        (void)::kill(candidates.back().pid, SIGKILL);
    }

    Outcome look(const std::string& who, Clock::time_point begin) {
        bool over = false;
        std::map<std::string, std::string> statuses;
        std::map<std::string, int> incarnations;
        std::string reasons;
        while (const auto line = controller_->line()) {
            over = over || *line == "over";
            if (line->starts_with("job ")) {
                std::istringstream words(*line);
                std::string word;
                std::string token;
                words >> word >> token >> statuses[token] >> incarnations[token];
                reasons += *line + "; ";
            }
            if (*line == "done") break;
        }
        if (!over && statuses.empty()) return Outcome::failed("the jobs do not end");
        if (statuses.size() != kJobs) return Outcome::failed("there are " + std::to_string(statuses.size()) + " jobs");
        int not_completed = 0;
        for (const auto& [token, status] : statuses) {
            if (status == "completed") continue;
            ++not_completed;
            const bool fitting = status == "abnormal" || status == "execution_exception" || status == "failed_to_run";
            if (!fitting) return Outcome::failed("the status is not true: " + reasons);
        }
        // Sites' parts outlive a controller; a part or site that is killed costs the jobs that it has a part of.
        const int most = who == "controller" ? 0 : who == "site" ? 2 : 1;
        if (not_completed > most) return Outcome::failed("more jobs have failed than were harmed: " + reasons);
        std::map<std::pair<std::string, std::string>, int> starts;
        for (const auto& mark : marks_in(folder_)) ++starts[{mark.job, mark.participant}];
        for (const auto& [what, count] : starts) {
            if (what.second == "controller" ? count > 2 : count > 1) {
                return Outcome::failed("a part of " + what.second + " was started " + std::to_string(count) + " times");
            }
        }
        for (auto& [name, site] : sites_) {
            site->close();
            const auto line = site->line();
            if (line != "site 0 4")
                return Outcome::failed("site " + name + " has not freed all: " + line.value_or("gone"));
            site->reap();
        }
        controller_->close();
        controller_->reap();
        for (const auto& entry : fs::directory_iterator(folder_ / "controller" / "runs")) {
            return Outcome::failed("left behind: " + entry.path().string());
        }
        Outcome outcome;
        outcome.figures["all_jobs_ms"] = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
        outcome.figures["failed_jobs"] = not_completed;
        return outcome;
    }

    const RoundOptions& round_;
    Dice dice_;
    const fs::path folder_ = make_folder();
    std::map<std::string, std::unique_ptr<Party>> sites_;
    std::unique_ptr<Party> controller_;
};

}  // namespace
}  // namespace chaos

/// chaos_jobs --variant WHO-EVENT --seed N: as chaos_round, whose gate "jobs" it is. A program of its own, because the
/// hosts that others measure load no more than they need.
int main(int argc, char** argv) {
    chaos::RoundOptions round;
    for (int index = 1; index + 1 < argc; index += 2) {
        const std::string name = argv[index];
        if (name == "--seed") round.seed = std::strtoull(argv[index + 1], nullptr, 10);
        if (name == "--variant") round.variant = argv[index + 1];
    }
    try {
        const auto outcome = chaos::Round(round).run();
        std::string wrong = outcome.wrong;
        for (auto& c : wrong) {
            if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = ' ';
        }
        std::cout << "{\"wrong\": \"" << wrong << "\", \"figures\": {";
        const char* between = "";
        for (const auto& [name, value] : outcome.figures) {
            std::cout << between << "\"" << name << "\": " << value;
            between = ", ";
        }
        std::cout << "}}" << std::endl;
        return 0;
    } catch (const std::exception& error) {
        std::cerr << "chaos_jobs: " << error.what() << "\n";
        return 2;
    }
}
