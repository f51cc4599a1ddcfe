// SPDX-License-Identifier: Apache-2.0
// controller_scale [JOBS [SITES]]
//
// `rankexec serve` with many sites and queued jobs (1000 and 200): what its users see. The controller is the command
// itself; sites are SiteService, connected over loopback with CURVE, whose parts run nothing; jobs are submitted as
// `rankexec job submit BUNDLE` does. The first job gets all GPUs of all sites, the others wait for them, with slots to
// spare, so that every change makes a pass.
//
//   submit       median and 99th percentile of submitting, in milliseconds; beside it the same disk's median for a
//                file of the bundle's size that is written, synced and renamed, and its folder synced: a submission is
//                on the disk when it is answered
//   list         median of asking for all jobs, and of the whole command `rankexec job list`, in milliseconds
//   controller   most memory that it has had (VmHWM), in MiB
//
// Exit code 1: a goal is missed: submit 5 ms, list 100 ms, controller 200 MiB. Times are wall-clock: of a quiet
// machine.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/jobs/job_actions.hpp"
#include "rankexec/core/cli/jobs/job_client.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/core/job/site/site_service.hpp"
#include "rankexec/core/system/run_command.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "temporary_folder.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kSubmitGoal = 5;        // ms
constexpr double kListGoal = 100;        // ms
constexpr double kControllerGoal = 200;  // MiB
constexpr int kLists = 21;
constexpr int kGpusAtSite = 8;

/// Parts that do nothing until they are stopped.
class IdleBackend final : public RunBackend {
public:
    void on_end(OnEnd callback) override { on_end_ = std::move(callback); }
    tl::expected<void, Failure> start(const RunSpec& spec) override {
        const std::lock_guard lock(mutex_);
        running_.insert(spec.job);
        return {};
    }
    [[nodiscard]] bool adopt(const RunSpec& spec) override { return runs(spec.job); }
    void stop(const std::string& job) override {
        {
            const std::lock_guard lock(mutex_);
            if (running_.erase(job) == 0) return;
        }
        RunEnd end;
        end.kind = RunEnd::Kind::stopped;
        on_end_(job, end);
    }
    [[nodiscard]] bool runs(const std::string& job) const override {
        const std::lock_guard lock(mutex_);
        return running_.contains(job);
    }
    [[nodiscard]] std::string name() const override { return "idle"; }

private:
    mutable std::mutex mutex_;
    std::set<std::string> running_;
    OnEnd on_end_;
};

std::string command_path() { return (fs::read_symlink("/proc/self/exe").parent_path() / "rankexec").string(); }

/// `rankexec serve`, which listens when this is made, and ends with it. Made before there are threads here.
class Controller {
public:
    Controller(const fs::path& home, const std::string& endpoint) {
        const auto command = command_path();
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
        said_.reset(ends[0]);
        UniqueFd says(ends[1]);
        pid_ = ::fork();
        if (pid_ < 0) throw std::runtime_error("fork");
        if (pid_ == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::dup2(says.get(), STDOUT_FILENO);
            ::execl(command.c_str(), command.c_str(), "serve", "--home", home.c_str(), "--listen", endpoint.c_str(),
                    "--max-jobs", "2", "--max-attempts", "1000", nullptr);
            ::_exit(127);
        }
        says.reset();
        char first = 0;
        if (::read(said_.get(), &first, 1) == 1) return;
        end();
        throw std::runtime_error("the controller does not start");
    }
    ~Controller() { end(); }
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    [[nodiscard]] double most_memory() const {
        std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
        for (std::string line; std::getline(status, line);) {
            if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
        }
        throw std::runtime_error("the controller has ended");
    }

private:
    void end() const {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
    }

    UniqueFd said_;  ///< open, so that it may say more
    pid_t pid_ = -1;
};

std::vector<double> sorted(std::vector<double> values) {
    std::ranges::sort(values);
    return values;
}
double median(const std::vector<double>& sorted_values) { return sorted_values[sorted_values.size() / 2]; }

double milliseconds_of(const std::function<void()>& call) {
    const auto begin = Clock::now();
    call();
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

/// What a synced file costs here.
double disk_limit(const TemporaryFolder& folder, std::size_t bytes) {
    const std::string content(bytes, 'x');
    const auto where = folder / "disk";
    fs::create_directory(where);
    const UniqueFd directory(::open(where.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::vector<double> times;
    for (int i = 0; i < 50; ++i) {
        times.push_back(milliseconds_of([&] {
            const auto fresh = where / (std::to_string(i) + ".new");
            const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
            if (::write(file.get(), content.data(), bytes) < 0 || ::fsync(file.get()) != 0) {
                throw std::runtime_error("the disk");
            }
            fs::rename(fresh, where / std::to_string(i));
            ::fsync(directory.get());
        }));
    }
    return median(sorted(std::move(times)));
}

fs::path make_bundle(const TemporaryFolder& folder, int sites) {
    const auto job = folder / "job";
    fs::create_directories(job / "part");
    std::ofstream(job / "job.toml") << "name = \"scale\"\nmin_sites = " << sites
                                    << "\n[[parts]]\nfolder = \"part\"\nsites = [\"@ALL\"]\ngpus = " << kGpusAtSite
                                    << "\n[workflow]\ntype = \"fed_avg\"\n";
    std::ofstream(job / "part/part.toml") << "name = \"part\"\n[group]\nranks = 1\nworker = [\"true\"]\n"
                                             "executor = \"e\"\n[[components]]\nid = \"e\"\ntype = \"e\"\n";
    const auto bundle = folder / "bundle.tar.gz";
    if (auto packed = pack_folder(job, bundle); !packed) throw std::runtime_error(packed.error().message);
    return bundle;
}

class Scale {
public:
    Scale(int jobs, int sites) : jobs_(jobs), bundle_(make_bundle(folder_, sites)) {
        const auto home = folder_ / "controller";
        fs::create_directory(home);
        fs::permissions(home, fs::perms::owner_all);
        const auto controller = Identity::create(Role::controller, hub::kHubName);
        controller.save(home / kIdentityFile);
        const PeerDirectory peers(home / kPeersFolder);
        const auto enroll = [&](Role role, const std::string& name) {
            auto identity = Identity::create(role, name);
            identity.controller_address = endpoint_;
            identity.controller = controller.public_part();
            const EnrolledPeer peer{identity.public_part(), {Permission::submit}};
            if (auto added = peers.add(peer); !added) throw std::runtime_error(added.error());
            return identity;
        };
        std::vector<Identity> identities;
        for (int i = 0; i < sites; ++i) identities.push_back(enroll(Role::site, "site-" + std::to_string(i)));
        enroll(Role::user, "user").save(user_);
        controller_.emplace(home, endpoint_);
        for (auto& identity : identities) start_site(std::move(identity));
        while (connected_ < sites) connected_.wait(connected_.load());
    }
    ~Scale() {
        controller_.reset();
        std::vector<std::thread> stopping;
        for (auto& site : sites_) stopping.emplace_back([&site] { site->stop(); });
        for (auto& thread : stopping) thread.join();
    }
    Scale(const Scale&) = delete;
    Scale& operator=(const Scale&) = delete;

    /// `unused`: what is submitted is packed already.
    bool measure(const cli::PackedBundle& unused) {
        cli::JobClient client({user_.string(), endpoint_});
        std::vector<double> submits;
        for (int i = 0; i < jobs_; ++i) {
            submits.push_back(milliseconds_of([&] {
                if (cli::submit_job(client, {bundle_.string(), {}, false}, unused, false) != 0)
                    throw std::runtime_error("submit");
            }));
        }
        std::vector<double> lists;
        std::vector<double> commands;
        for (int i = 0; i < kLists; ++i) {
            lists.push_back(milliseconds_of([&] {
                const auto reply = client.ask(topic::kList, {});
                if (reply.body.if_array() == nullptr ||
                    reply.body.if_array()->size() != static_cast<std::size_t>(jobs_)) {
                    throw std::runtime_error("list");
                }
            }));
            commands.push_back(milliseconds_of([&] {
                Command list;
                list.argv = {command_path(), "job", "list", "--identity", user_.string()};
                const auto done = run_command(list);
                if (!done || !done->exit.success()) throw std::runtime_error("rankexec job list");
            }));
        }
        submits = sorted(std::move(submits));
        lists = sorted(std::move(lists));
        commands = sorted(std::move(commands));
        const auto memory = controller_->most_memory();
        std::fprintf(stderr, "submit      median %6.2f ms, 99 %% in %.2f ms; a synced file %.2f ms\n", median(submits),
                     submits[submits.size() * 99 / 100], disk_limit(folder_, fs::file_size(bundle_)));
        std::fprintf(stderr, "list        median %6.2f ms, as a command %.2f ms\n", median(lists), median(commands));
        std::fprintf(stderr, "controller  %6.1f MiB at most\n", memory);
        return median(submits) < kSubmitGoal && median(commands) < kListGoal && memory < kControllerGoal;
    }

private:
    void start_site(Identity identity) {
        SiteOptions options(std::move(identity));
        options.controller = endpoint_;
        options.home = folder_ / options.identity.name();
        for (int gpu = 0; gpu < kGpusAtSite; ++gpu) options.resources.gpus.push_back({std::to_string(gpu), 80'000});
        options.resources.cores = options.resources.free_cores = 64;
        options.backend = std::make_unique<IdleBackend>();
        options.part_command = {"/bin/true"};
        options.on_connection = [this](bool connected, const std::string& /*why*/) {
            if (!connected) return;
            ++connected_;
            connected_.notify_all();
        };
        auto site = SiteService::start(std::move(options));
        if (!site) throw std::runtime_error(site.error().message);
        sites_.push_back(std::move(*site));
    }

    const int jobs_;
    TemporaryFolder folder_{"rankexec-scale"};
    const fs::path bundle_;
    const std::string endpoint_ = "ipc://" + (folder_ / "hub").string();
    const fs::path user_ = folder_ / "user";
    std::optional<Controller> controller_;
    std::atomic<int> connected_ = 0;
    std::vector<std::unique_ptr<SiteService>> sites_;
};

}  // namespace
}  // namespace rankexec::job

int main(int argc, char** argv) {
    try {
        // The ids that it prints are for people.
        if (std::freopen("/dev/null", "w", stdout) == nullptr) return 1;
        rankexec::cli::InterruptWatch::block();
        const rankexec::cli::PackedBundle unused;
        rankexec::job::Scale scale(argc > 1 ? std::stoi(argv[1]) : 1000, argc > 2 ? std::stoi(argv[2]) : 200);
        return scale.measure(unused) ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "controller_scale: %s\n", error.what());
        return 1;
    }
}
