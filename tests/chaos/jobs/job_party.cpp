// SPDX-License-Identifier: Apache-2.0
// A controller or a site of the gate "jobs", which gets killed, and started again with the same home.
//
//     chaos_job_party controller FOLDER JOBS [EVENT COUNT]    kills itself at the COUNTth event of that type
//     chaos_job_party site FOLDER NAME
//
// FOLDER has bundle and controller/ (identity, peers). The controller submits its jobs, each with a token of its own,
// so that a second one finds them; says what happens, a line each, and "over" when all have ended and nothing of them
// is left, followed by "job TOKEN STATUS INCARNATION REASON". A site says what it has when its standard input is
// closed.
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <string>
#include <utility>

#include "rankexec/core/job/backend/local_backend.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/site/site_service.hpp"

namespace {

namespace job = rankexec::job;
namespace fs = std::filesystem;

constexpr int kCores = 4;

void say(const std::string& line) {
    const auto text = line + "\n";
    (void)!::write(STDOUT_FILENO, text.data(), text.size());
}

std::string endpoint_of(const fs::path& folder) { return "ipc://" + (folder / "hub").string(); }

/// Writes job, participant and pid down, so that the round can count what was started, and kill it.
std::vector<std::string> part(const fs::path& folder, const std::string& participant, const std::string& then) {
    const auto job = participant == "controller" ? "$(basename $PWD)" : "$(basename $(dirname $PWD))";
    return {"sh", "-c",
            std::string("echo \"") + job + " " + participant + " $$\" >>" + (folder / "marks").string() + "; " + then};
}

int controller(const fs::path& folder, int jobs, const std::string& die_at, int count) {
    std::mutex mutex;
    std::condition_variable changed;
    int seen = 0;
    std::uint64_t events = 0;
    job::ControllerOptions options;
    options.home = folder / "controller";
    options.listen = {endpoint_of(folder)};
    options.part_command = part(folder, "controller", "sleep 0.2");
    options.runner.schedule.max_jobs = 2;
    options.runner.schedule.first_backoff = std::chrono::seconds(1);
    options.runner.schedule.max_attempts = 100;
    options.runner.run.abort_timeout = std::chrono::milliseconds(300);
    options.runner.run.site_return_timeout = std::chrono::seconds(20);
    options.on_event = [&](const std::string&, const std::string& type, const std::string& text) {
        say("event " + type + " " + text);
        const std::lock_guard lock(mutex);
        if (type == die_at && ++seen == count) (void)::kill(::getpid(), SIGKILL);
        ++events;
        changed.notify_all();
    };
    auto started = job::ControllerService::start(std::move(options));
    if (!started) {
        std::cerr << started.error().message << "\n";
        return 1;
    }
    auto& service = **started;
    for (int number = 0; number < jobs; ++number) {
        const auto submitted = service.submit(folder / "bundle", {"user", "job-" + std::to_string(number)});
        if (!submitted) {
            std::cerr << submitted.error() << "\n";
            return 1;
        }
    }
    std::unique_lock lock(mutex);
    while (true) {
        const auto before = events;
        lock.unlock();
        const auto all = service.store().list();
        bool over = all && service.runner().running().empty();
        for (const auto& record : *all) over = over && is_final(record.status);
        if (over) {
            say("over");
            for (const auto& record : *all) {
                say("job " + record.token + " " + std::string(to_string(record.status)) + " " +
                    std::to_string(record.incarnation) + " " + record.reason);
            }
            say("done");
            std::string ignored;
            std::getline(std::cin, ignored);
            service.stop();
            return 0;
        }
        lock.lock();
        // A run is over a moment after its last event.
        changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return events != before; });
    }
}

int site(const fs::path& folder, const std::string& name) {
    job::SiteOptions options(job::Identity::load(folder / (name + ".site")));
    options.controller = endpoint_of(folder);
    options.home = folder / ("site." + name);
    options.resources.cores = options.resources.free_cores = kCores;
    options.backend = std::make_unique<job::LocalBackend>();
    options.part_command = part(folder, name, "exec sleep 1000");
    options.abort_grace = std::chrono::milliseconds(100);
    auto started = job::SiteService::start(std::move(options));
    if (!started) {
        std::cerr << started.error().message << "\n";
        return 1;
    }
    std::string ignored;
    std::getline(std::cin, ignored);
    // The controller does not wait for long until a site has removed what it had of a job.
    for (int count = 0; count < 1000 && !(*started)->jobs().empty(); ++count) ::usleep(10'000);
    say("site " + std::to_string((*started)->jobs().size()) + " " + std::to_string((*started)->resources().free_cores));
    (*started)->stop();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    try {
        if (words.size() >= 3 && words[0] == "controller") {
            return controller(words[1], std::stoi(words[2]), words.size() > 4 ? words[3] : "",
                              words.size() > 4 ? std::stoi(words[4]) : 0);
        }
        if (words.size() == 3 && words[0] == "site") return site(words[1], words[2]);
        std::cerr << "chaos_job_party: controller or site?\n";
    } catch (const std::exception& error) {
        std::cerr << "chaos_job_party: " << error.what() << "\n";
    }
    return 2;
}
