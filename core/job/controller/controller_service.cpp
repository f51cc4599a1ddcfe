// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/controller_service.hpp"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/backend/local_backend.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/controller/desk.hpp"
#include "rankexec/core/job/controller/hub_sites.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/controller/part_keys.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/core/job/store/sqlite_store.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/private_folder.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

Failure failure_of(ReturnCode code, std::string message) {
    Failure failure;
    failure.code = code;
    failure.message = std::move(message);
    return failure;
}

/// Sees every event of every job.
class Watcher final : public Component {
public:
    using OnEvent = decltype(ControllerOptions::on_event);
    explicit Watcher(OnEvent callback) : callback_(std::move(callback)) {}
    void handle_event(const std::string& type, Context& context) override {
        const auto job = context.text_or("job_id", "");
        if (!job.empty()) callback_(job, type, context.text_or("job_event_text", ""));
    }

private:
    const OnEvent callback_;
};

}  // namespace

// ---- what belongs together ---------------------------------------------------------------------

class Controller final : public ControllerService {
public:
    explicit Controller(ControllerOptions options)
        : options_(std::move(options)), peers_(options_.home / kPeersFolder) {}
    ~Controller() override { stop(); }

    /// Throws Failure.
    void open() {
        if (auto made = make_private_folder(options_.home, kIdentityFile); !made) {
            throw failure_of(ReturnCode::initialisation_error, made.error());
        }
        open_identity();
        open_store();
        open_hub();
        open_runner();
        Desk::Ports ports{*store_, *runner_, *sites_, *hub_};
        Desk::Options desk;
        desk.uploads = options_.home / "uploads";
        desk.runs = options_.runner.run.folder;
        desk.most_bundle_bytes = options_.most_bundle_bytes;
        desk.signatures_required = options_.signatures_required;
        desk.on_site = options_.on_site;
        desk_ = std::make_unique<Desk>(ports, desk, engine_);
        desk_->serve();
        if (options_.on_event) engine_.add("listener", std::make_unique<Watcher>(options_.on_event));
        admit_peers();
        watch_peers();
        // First what is to go on: sites that come back are told to forget all else.
        runner_->start();
        hub_->start();
    }

    std::vector<std::string> endpoints() const override { return hub_->endpoints(); }
    JobStore& store() override { return *store_; }
    JobRunner& runner() override { return *runner_; }

    tl::expected<JobRecord, std::string> submit(const fs::path& bundle, const Submission& submission) override {
        return desk_->submit(bundle, submission.submitter, submission.token);
    }

    void stop() override {
        if (std::exchange(stopped_, true)) return;
        // No job may fail because its sites are out of reach from here on: the next controller goes on with it.
        if (runner_) runner_->let_go();
        // Then the hub: what waits for a site's answer fails, and the runs come back.
        if (watch_thread_.joinable()) {
            watch_loop_->stop();
            watch_thread_.join();
        }
        if (hub_) hub_->close();
        if (runner_) runner_->stop();
        if (desk_) desk_->stop();
        parts_.reset();
    }

private:
    void open_identity() {
        const auto file = options_.home / kIdentityFile;
        try {
            if (!fs::exists(file)) Identity::create(Role::controller, hub::kHubName).save(file);
            identity_ = Identity::load(file);
        } catch (const ConfigurationError& error) {
            throw failure_of(ReturnCode::initialisation_error, error.what());
        }
    }

    void open_store() {
        StoreOptions options;
        options.directory = options_.home / "store";
        options.max_bundle_bytes = options_.most_bundle_bytes;
        auto store = open_sqlite_store(options);
        if (!store) throw failure_of(ReturnCode::initialisation_error, store.error().message);
        store_ = std::move(*store);
    }

    void open_hub() {
        hub::HubServer::Options options;
        options.listen = options_.listen;
        options.keys = identity_->curve_keys();
        options.on_connected = [this](const std::string& peer) { desk_->on_connected(peer); };
        options.on_lost = [this](const std::string& peer, const std::string& why) { desk_->on_lost(peer, why); };
        auto hub = hub::HubServer::make(std::move(options));
        if (!hub) throw hub.error();
        hub_ = std::move(*hub);
        sites_ = std::make_unique<HubSites>(*hub_, [this](const std::string& job) { return bundle_info(job); });
    }

    HubSites::BundleInfo bundle_info(const std::string& job) {
        const auto record = store_->get(job);
        if (!record) throw std::runtime_error(record.error().message);
        return {record->digest, record->bundle_bytes, to_hex(identity_->sign("deploy " + job, record->digest))};
    }

    void open_runner() {
        options_.runner.run.folder = options_.home / "runs";
        std::error_code error;
        fs::create_directories(options_.runner.run.folder, error);
        if (error) {
            throw failure_of(ReturnCode::initialisation_error,
                             options_.runner.run.folder.string() + ": " + error.message());
        }
        parts_ = std::make_unique<LocalBackend>();
        parts_->on_end(
            [this](const std::string& job, const RunEnd& end) { runner_->on_controller_part_end(job, end); });
        JobRunPorts ports{*store_, *sites_, *parts_, engine_, {}, {}, {}, {}, {}, {}, {}, options_.part_command};
        ports.unpack = [this](const std::string& job, const fs::path& into) -> tl::expected<void, std::string> {
            const auto bundle = store_->bundle(job);
            if (!bundle) return tl::unexpected(bundle.error().message);
            BundleLimits limits;
            limits.max_bytes = options_.most_bundle_bytes;
            const auto unpacked = unpack_bundle(*bundle, into, limits);
            if (!unpacked) return tl::unexpected(unpacked.error().message);
            return {};
        };
        ports.archive = [](const fs::path& folder, const fs::path& archive) -> tl::expected<void, std::string> {
            PackOptions options;
            options.limits.max_bytes = std::numeric_limits<std::int64_t>::max();
            options.odd = PackOptions::Odd::left_out;
            const auto packed = pack_folder(folder, archive, options);
            if (!packed) return tl::unexpected(packed.error().message);
            return {};
        };
        ports.admit = [this](PartSetup& setup) { admit(setup); };
        ports.dismiss = [this](const std::string& job) { dismiss(job); };
        ports.tell_to_end = [this](const std::string& job, const std::string& participant, const std::string& reason) {
            const auto peer = peer_of_part(job, participant);
            if (!hub_->connected(peer)) return false;
            Shareable content;
            content.headers = {{"reason", reason}};
            hub_->tell(peer, topic::kAbortRun, std::move(content));
            return true;
        };
        ports.tell_site_lost = [this](const std::string& job, const std::string& site, const std::string& why,
                                      bool final) {
            Shareable content;
            content.headers = {{"site", site}, {"why", why}, {"final", final}};
            hub_->tell(peer_of_part(job, kControllerParticipant), topic::kSiteLost, std::move(content));
        };
        ports.over = [this](const std::string& job) { desk_->on_job_over(job); };
        runner_ = std::make_unique<JobRunner>(options_.runner, std::move(ports),
                                              [this](const JobRecord& job) { return desk_->definition_of(job); });
    }

    // ---- keys ---------------------------------------------------------------------------------

    void admit(PartSetup& setup) {
        const auto secret = part_secret(*identity_, setup.job, setup.participant, setup.incarnation);
        const auto peer = peer_of_part(setup.job, setup.participant);
        hub_->allow(peer, curve_keys_from(secret).public_key);
        setup.secret = hex_of(secret.bytes());
        setup.hub_key = hex_of(identity_->curve_keys().public_key);
        // A site's part goes the way that its site has gone: the site knows it.
        if (setup.participant == kControllerParticipant) setup.endpoint = local_endpoint();
        const std::lock_guard lock(mutex_);
        admitted_[setup.job].push_back(peer);
    }

    void dismiss(const std::string& job) {
        std::vector<std::string> peers;
        {
            const std::lock_guard lock(mutex_);
            const auto found = admitted_.find(job);
            if (found == admitted_.end()) return;
            peers = std::move(found->second);
            admitted_.erase(found);
        }
        for (const auto& peer : peers) hub_->forbid(peer);
    }

    [[nodiscard]] std::string local_endpoint() const {
        const auto endpoints = hub_->endpoints();
        const auto unix_socket =
            std::ranges::find_if(endpoints, [](const auto& one) { return one.starts_with("ipc:"); });
        if (unix_socket != endpoints.end()) return *unix_socket;
        auto endpoint = endpoints.front();
        for (const std::string_view any : {"tcp://0.0.0.0:", "tcp://*:"}) {
            if (endpoint.starts_with(any)) endpoint = "tcp://127.0.0.1:" + endpoint.substr(any.size());
        }
        return endpoint;
    }

    void admit_peers() {
        std::vector<std::string> problems;
        const auto all = peers_.list(&problems);
        for (const auto& problem : problems) log::warning("enrolled peers: " + problem);
        std::map<std::string, EnrolledPeer> now;
        for (const auto& peer : all) {
            hub_->allow(peer.peer(), peer.identity.curve_key);
            now[peer.peer()] = peer;
        }
        for (const auto& [peer, known] : enrolled_) {
            if (!now.contains(peer)) hub_->forbid(peer);
        }
        enrolled_ = now;
        desk_->set_enrolled(std::move(now));
    }

    /// Sites and users that are enrolled while we run are known at once.
    void watch_peers() {
        std::error_code error;
        fs::create_directories(peers_.folder(), error);
        watch_loop_.emplace();
        watch_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
        if (!watch_.valid() || ::inotify_add_watch(watch_.get(), peers_.folder().c_str(),
                                                   IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE) < 0) {
            throw failure_of(ReturnCode::initialisation_error, peers_.folder().string() + " cannot be watched: " +
                                                                   std::generic_category().message(errno));
        }
        watch_loop_->watch(watch_.get(), EPOLLIN, [this](std::uint32_t) {
            std::array<char, 4096> events{};
            while (::read(watch_.get(), events.data(), events.size()) > 0) {
            }
            admit_peers();
        });
        watch_thread_ = std::thread([this] { watch_loop_->run(); });
    }

    ControllerOptions options_;
    PeerDirectory peers_;
    std::map<std::string, EnrolledPeer> enrolled_;  ///< of the watching thread
    std::optional<Identity> identity_;
    std::unique_ptr<JobStore> store_;
    Engine engine_;
    std::unique_ptr<hub::HubServer> hub_;
    std::unique_ptr<HubSites> sites_;
    std::unique_ptr<RunBackend> parts_;
    std::unique_ptr<JobRunner> runner_;
    std::unique_ptr<Desk> desk_;
    std::optional<EventLoop> watch_loop_;
    UniqueFd watch_;
    std::thread watch_thread_;
    std::mutex mutex_;
    std::map<std::string, std::vector<std::string>> admitted_;  ///< peers by job
    bool stopped_ = false;
};

ControllerService::~ControllerService() = default;

tl::expected<std::unique_ptr<ControllerService>, Failure> ControllerService::start(ControllerOptions options) {
    auto controller = std::make_unique<Controller>(std::move(options));
    try {
        controller->open();
    } catch (const Failure& failure) {
        return tl::unexpected(failure);
    } catch (const std::system_error& error) {
        return tl::unexpected(failure_of(ReturnCode::initialisation_error,
                                         std::string(error.what()) + "; raise the limits of threads and open files"));
    }
    return controller;
}

}  // namespace rankexec::job
