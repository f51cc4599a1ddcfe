// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/service_commands.hpp"

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/program_search.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/backend/local_backend.hpp"
#include "rankexec/core/job/backend/slurm_backend.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/site/site_service.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefaultListen = "tcp://127.0.0.1:7770";

CommandResult failed(const std::string& message) {
    complain(message);
    return {kExitFailure, {}};
}

/// Waits until a user ends the command, and gives what it exits with.
class Until {
public:
    Until() : watch_({[this](int) { end(); }, [](int signal) { std::_Exit(exit_code_of_signal(signal)); }, {}}) {}
    CommandResult wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return ended_; });
        return {kExitSuccess, {}};
    }

private:
    void end() {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool ended_ = false;
    InterruptWatch watch_;
};

fs::path default_home(const std::string& name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* const home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') {
        throw ConfigurationError(ConfigurationError::Kind::option, "HOME is not set: give --home");
    }
    return fs::path(home) / ".rankexec" / name;
}

}  // namespace

std::vector<std::string> part_command(const char* kind) {
    return {(program_folder() / "rankexec").string(), "job-part", kind};
}

CommandResult serve(const ServeCommand& command) {
    InterruptWatch::block();
    job::ControllerOptions options;
    options.home = command.home.empty() ? default_home("controller") : fs::absolute(command.home);
    options.listen = command.listen.empty() ? std::vector<std::string>{kDefaultListen} : command.listen;
    options.part_command = part_command("controller");
    if (command.most_bundle_bytes) options.most_bundle_bytes = *command.most_bundle_bytes;
    options.signatures_required = !command.unsigned_bundles;
    options.runner = command.runner;
    const auto home = options.home;
    Until until;
    auto controller = job::ControllerService::start(std::move(options));
    if (!controller) return failed(controller.error().message);
    std::string text = "the controller listens at";
    for (const auto& endpoint : (*controller)->endpoints()) text += " " + endpoint;
    (void)print_text(text + "\nits home is " + home.string() + "\n");
    auto result = until.wait();
    (*controller)->stop();
    return result;
}

CommandResult site(const SiteCommand& command) {
    InterruptWatch::block();
    auto identity = job::Identity::load(command.identity);
    if (identity.role() != job::Role::site || (!command.name.empty() && identity.name() != command.name)) {
        return failed(command.identity + " is the identity of " + identity.public_part().peer() + ", not of site/" +
                      (command.name.empty() ? "NAME" : command.name));
    }
    const auto name = identity.name();
    auto controller = command.controller.empty() ? identity.controller_address : command.controller;
    if (controller.empty()) return failed("where is the controller? give --controller tcp://HOST:PORT");
    std::unique_ptr<job::RunBackend> backend;
    const auto home = command.home.empty() ? default_home("site-" + name) : fs::absolute(command.home);
    if (command.backend == "slurm") {
        job::SlurmBackendOptions slurm;
        slurm.sbatch_arguments = command.sbatch_args;
        backend = std::make_unique<job::SlurmBackend>(std::move(slurm));
    } else {
        backend = std::make_unique<job::LocalBackend>();
    }
    job::SiteOptions options(std::move(identity));
    options.controller = std::move(controller);
    options.home = home;
    options.resources = job::site_resources(command.resources);
    options.backend = std::move(backend);
    options.part_command = part_command("site");
    options.bundle_code = command.bundle_code;
    options.on_connection = [name](bool connected, const std::string& why) {
        (void)print_text("site " + name + (connected ? " is connected\n" : ": " + why + "\n"));
    };
    Until until;
    auto site = job::SiteService::start(std::move(options));
    if (!site) return failed(site.error().message);
    auto result = until.wait();
    (*site)->stop();
    return result;
}

}  // namespace rankexec::cli
