// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/jobs/service_commands.hpp"
#include "rankexec/core/job/backend/local_backend.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"
#include "rankexec/core/job/resources/site_resources.hpp"
#include "rankexec/core/job/site/site_service.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;
using job::ControllerService;
using job::SiteService;

constexpr int kSitesOfAll = 2;
/// For sites in this process to connect to the controller in this process.
constexpr std::chrono::seconds kSitesTime{60};

/// Each has threads and connections of its own.
constexpr std::size_t kMostSites = 64;
/// To remove its files while threads still make some.
constexpr int kAttempts = 100;

/// What went wrong before the job could run.
struct Trouble {
    std::string message;
};

/// Sites that the job names, or as many as it needs.
std::vector<std::string> sites_of(const job::JobDefinition& definition, const std::vector<std::string>& wanted) {
    if (!wanted.empty()) return wanted;
    std::set<std::string> names(definition.required_sites.begin(), definition.required_sites.end());
    for (const auto& part : definition.parts) {
        for (const auto& site : part.sites) {
            if (site != job::kAllSites) names.insert(site);
        }
    }
    if (definition.for_all_sites()) {
        const auto count = std::max(definition.min_sites, kSitesOfAll);
        for (int number = 1; std::cmp_less(names.size(), count); ++number)
            names.insert("site-" + std::to_string(number));
    }
    return {names.begin(), names.end()};
}

/// A controller and its sites in one process, for one job.
class EmbeddedRun {
public:
    EmbeddedRun(fs::path home, const std::vector<std::string>& sites) : home_(std::move(home)) {
        auto own = job::Identity::create(job::Role::controller, "controller");
        own.save(home_ / "controller" / job::kIdentityFile);
        const job::PeerDirectory peers(home_ / "controller" / job::kPeersFolder);
        std::vector<job::Identity> identities;
        for (const auto& site : sites) {
            auto identity = job::Identity::create(job::Role::site, site);
            identity.controller = own.public_part();
            if (const auto added = peers.add({identity.public_part(), {}}); !added) throw Trouble{added.error()};
            identities.push_back(std::move(identity));
        }
        start_controller();
        for (auto& identity : identities) start_site(std::move(identity));
    }
    ~EmbeddedRun() {
        if (controller_) controller_->stop();
        for (const auto& site : sites_) site->stop();
    }
    EmbeddedRun(const EmbeddedRun&) = delete;
    EmbeddedRun& operator=(const EmbeddedRun&) = delete;

    /// Once all sites are there: "@ALL" means those that are.
    void submit(const fs::path& bundle) {
        {
            std::unique_lock lock(mutex_);
            const auto ready = [this] { return aborted_ || present_.size() == sites_.size(); };
            if (!changed_.wait_for(lock, kSitesTime, ready)) throw Trouble{"the sites do not find the controller"};
        }
        auto record = controller_->submit(bundle, {});
        if (!record) throw Trouble{record.error()};
        const std::lock_guard lock(mutex_);
        job_ = record->id;
        changed_.notify_all();
    }

    void abort(const std::string& reason) {
        std::string job;
        {
            const std::lock_guard lock(mutex_);
            aborted_ = reason;
            job = job_;
            changed_.notify_all();
        }
        if (!job.empty()) (void)controller_->runner().abort(job, reason);
    }

    /// Until the job has ended and nothing of it is left.
    job::JobRecord wait() {
        std::unique_lock lock(mutex_);
        if (aborted_ && !std::exchange(told_, true)) {
            lock.unlock();
            (void)controller_->runner().abort(job_, *aborted_);
            lock.lock();
        }
        while (true) {
            const auto seen = events_;
            lock.unlock();
            const auto record = controller_->store().get(job_);
            const bool running = !controller_->runner().running().empty();
            lock.lock();
            if (!record) throw Trouble{record.error().message};
            if (is_final(record->status) && (over_ || !running)) return *record;
            changed_.wait(lock, [&] { return events_ != seen; });
        }
    }

    /// The lines of the summary that people have not seen yet while it ran, and its result.
    std::string without_what_was_said(const std::string& summary) {
        const std::lock_guard lock(mutex_);
        std::string text;
        std::istringstream lines(summary);
        for (std::string line; std::getline(lines, line);) {
            if (!said_.contains(line) || line.starts_with("held_out_")) text += line + "\n";
        }
        return text;
    }

    /// Copies the result folder out of the archived workspace. Nothing: there is none.
    bool fetch_results(const fs::path& into) {
        const auto archive = controller_->store().workspace(job_);
        if (!archive) return false;
        const auto folder = home_ / "workspace";
        job::BundleLimits limits;
        limits.max_bytes = std::numeric_limits<std::int64_t>::max();
        if (const auto unpacked = job::unpack_bundle(*archive, folder, limits); !unpacked) {
            throw Trouble{unpacked.error().message};
        }
        std::error_code error;
        fs::create_directories(into, error);
        fs::copy(folder / "results", into, fs::copy_options::recursive | fs::copy_options::overwrite_existing, error);
        for (const auto& entry : fs::directory_iterator(folder, error)) {
            if (entry.path().extension() == ".log") {
                fs::copy(entry.path(), into / entry.path().filename(), fs::copy_options::overwrite_existing, error);
            }
        }
        if (error) throw Trouble{into.string() + ": " + error.message()};
        return true;
    }

private:
    void start_controller() {
        job::ControllerOptions options;
        options.home = home_ / "controller";
        options.listen = {"ipc://" + (home_ / "hub").string()};
        options.part_command = part_command("controller");
        options.on_event = [this](const std::string& job, const std::string& type, const std::string& text) {
            on_event(job, type, text);
        };
        options.on_site = [this](const std::string& site) {
            const std::lock_guard lock(mutex_);
            present_.insert(site);
            changed_.notify_all();
        };
        auto started = ControllerService::start(std::move(options));
        if (!started) throw Trouble{started.error().message};
        controller_ = std::move(*started);
    }

    void start_site(job::Identity identity) {
        const auto folder = home_ / ("site." + identity.name());
        job::SiteOptions options(std::move(identity));
        options.controller = "ipc://" + (home_ / "hub").string();
        options.home = folder;
        options.resources = job::site_resources({});
        options.backend = std::make_unique<job::LocalBackend>();
        options.part_command = part_command("site");
        auto started = SiteService::start(std::move(options));
        if (!started) throw Trouble{started.error().message};
        sites_.push_back(std::move(*started));
    }

    void on_event(const std::string& /*job*/, const std::string& type, const std::string& text) {
        if (type == job::job_event::kProgress) {
            std::fprintf(stderr, "%s\n", text.c_str());
        } else if (type != job::job_event::kFigure && type != job::job_event::kBeforeCheck) {
            std::fprintf(stderr, "rankexec: %s%s%s\n", type.c_str(), text.empty() ? "" : ": ", text.c_str());
        }
        const std::lock_guard lock(mutex_);
        if (type == job::job_event::kProgress) said_.insert(text);
        ++events_;
        over_ = over_ || type == job::job_event::kCompleted;
        changed_.notify_all();
    }

    const fs::path home_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string job_;
    std::set<std::string> present_;
    std::optional<std::string> aborted_;
    bool told_ = false;
    std::set<std::string> said_;
    std::uint64_t events_ = 0;
    bool over_ = false;
    std::unique_ptr<ControllerService> controller_;
    std::vector<std::unique_ptr<SiteService>> sites_;
};

std::string text_of_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

CommandResult job_run(const JobRunCommand& command) {
    InterruptWatch::block();
    const auto path = choose_run_directory();
    if (!path) {
        complain(path.error().message);
        return {kExitFailure, {}};
    }
    const auto directory = RunDirectory::make(*path);
    if (!directory) {
        complain(directory.error().message);
        return {kExitFailure, {}};
    }
    const fs::path home = directory->path();
    try {
        const auto bundle = home / "bundle.tar.gz";
        if (const auto packed = job::pack_folder(command.folder, bundle); !packed)
            throw Trouble{packed.error().message};
        const auto definition = job::inspect_bundle(bundle);
        if (!definition) throw Trouble{definition.error().message};
        const auto sites = sites_of(*definition, command.sites);
        if (sites.size() > kMostSites) {
            throw Trouble{"the job has " + std::to_string(sites.size()) + " sites, and this runs " +
                          std::to_string(kMostSites) +
                          " at most in one process; see `rankexec serve` and `rankexec site`"};
        }
        EmbeddedRun run(home, sites);
        const InterruptWatch watch({[&run](int) { run.abort("interrupted"); },
                                    [&home](int signal) {
                                        // The controller's secret is in there, and nobody comes back for it. Other
                                        // threads go on, and may make a file in a folder that is being removed.
                                        std::error_code left;
                                        for (int attempt = 0; attempt == 0 || (left && attempt < kAttempts);
                                             ++attempt) {
                                            fs::remove_all(home, left);
                                        }
                                        std::_Exit(exit_code_of_signal(signal));
                                    },
                                    {}});
        run.submit(bundle);
        const auto record = run.wait();
        const fs::path results =
            command.results.empty() ? fs::path(definition->name + "-results") : fs::path(command.results);
        const bool have_results = run.fetch_results(results);
        std::string text;
        if (have_results) text = run.without_what_was_said(text_of_file(results / "summary.txt"));
        text += "job " + record.name + ": " + std::string(to_string(record.status));
        if (record.status != job::JobStatus::completed) text += ": " + record.reason;
        text += "\n";
        if (have_results) text += "results: " + results.string() + "\n";
        const int written = command.json ? print_text(to_json(to_value(record)) + "\n") : print_text(text);
        if (watch.first_signal() != 0) return {exit_code_of_signal(watch.first_signal()), {}};
        if (record.status != job::JobStatus::completed) return {kExitFailure, {}};
        return {written, {}};
    } catch (const Trouble& trouble) {
        complain(trouble.message);
        return {kExitUsage, {}};
    }
}

}  // namespace rankexec::cli
