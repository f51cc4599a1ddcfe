// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/site/site_service.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>

#include "rankexec/core/job/backend/log_reader.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/core/job/resources/resource_manager.hpp"
#include "rankexec/core/job/site/bundle_fetch.hpp"
#include "rankexec/core/job/site/part_record.hpp"
#include "rankexec/core/job/site/request_threads.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/private_folder.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/core/system/within_a_moment.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kAnswer{60'000};
/// Of the time of a reservation; what is late once or twice does not end it.
constexpr int kRenewals = 6;

/// Its part of one job, under the service's mutex.
struct Slot {
    PartRecord record;
    std::string token;  ///< of the reservation, as long as it is not allocated
    ResourceNeed need;
    std::int64_t deployment = 0;  ///< the latest of this site's, so that an older one can be told from it
};

}  // namespace

class Site final : public SiteService {
public:
    explicit Site(SiteOptions options)
        : options_(std::move(options)),
          jobs_folder_(options_.home / "jobs"),
          resources_({options_.resources, options_.reservation_time}, {}) {}
    ~Site() override { stop(); }

    /// Throws Failure.
    void open() {
        if (auto made = make_private_folder(options_.home, "jobs"); !made) fail(made.error());
        std::error_code error;
        fs::create_directories(jobs_folder_, error);
        if (error) fail(jobs_folder_.string() + ": " + error.message());
        lock_home();
        if (!options_.identity.controller) fail("the site's identity does not name its controller; enrol it again");
        options_.backend->on_end([this](const std::string& job, const RunEnd& end) { on_end(job, end); });
        hub::HubClient::Options client;
        client.connect = options_.controller;
        client.hub_key = options_.identity.controller->curve_key;
        client.keys = options_.identity.curve_keys();
        client.on_connected = [this] { on_connected(); };
        client.on_lost = [this](const std::string& why) { on_lost(why); };
        client.on_refused = [this](const std::string& why) { on_lost(why); };
        auto made = hub::HubClient::make(std::move(client));
        if (!made) throw made.error();
        hub_ = std::move(*made);
        remember();
        take(topic::kCheckResources, &Site::check_resources, By::loop);
        take(topic::kCancelReservation, &Site::cancel_reservation, By::loop);
        take(topic::kDeploy, &Site::deploy, By::its_job);
        take(topic::kStartPart, &Site::start_part, By::its_job);
        take(topic::kAbortPart, &Site::abort_part, By::itself);
        take(topic::kPartStatus, &Site::part_status, By::loop);
        hub_->handle(topic::kReadLog, [this](hub::Request&& request, hub::Answer answer) {
            loop_.post([this, request = std::move(request), answer = std::move(answer)]() mutable {
                read_log(request, std::move(answer));
            });
        });
        take(topic::kForgetJob, &Site::forget_job, By::its_job);
        resources_.on_change([this] { loop_.post([this] { say_state(); }); });
        loop_thread_ = std::thread([this] { loop_.run(); });
        loop_.post([this] { renew_later(); });
        hub_->start();
    }

    bool connected() const override { return hub_->connected(); }

    std::vector<std::string> jobs() const override {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> all;
        for (const auto& [job, slot] : slots_) all.push_back(job);
        return all;
    }

    ResourceState resources() const override { return resources_.state(); }

    void stop() override {
        if (std::exchange(stopped_, true)) return;
        if (hub_) hub_->close();
        if (loop_thread_.joinable()) {
            loop_.stop();
            loop_thread_.join();
        }
        {
            const std::lock_guard lock(mutex_);
            closing_ = true;
            changed_.notify_all();
        }
        threads_.close();
        // Its runs end with it. What it has on its disk says so to the site's next process.
        options_.backend.reset();
    }

private:
    using Handler = Shareable (Site::*)(const hub::Request&);

    [[noreturn]] static void fail(std::string message) {
        Failure failure;
        failure.code = ReturnCode::initialisation_error;
        failure.message = std::move(message);
        throw failure;
    }

    /// Where a request is handled: on the loop's thread; what may take long on one of its own, or after those of the
    /// same job that have come before it. A controller that has been killed may have asked for something that is still
    /// waited for when the next one asks for the opposite.
    enum class By : std::uint8_t { loop, itself, its_job };

    void take(const char* topic, Handler handler, By by) {
        hub_->handle(topic, [this, handler, by](hub::Request&& request, hub::Answer answer) {
            if (request.from != hub::kHubName) return answer(refused("only the controller may ask for that"));
            const auto job = text_in(request.content, "job");
            auto work = [this, handler, request = std::move(request), answer = std::move(answer)] {
                try {
                    answer((this->*handler)(request));
                } catch (const std::exception& error) {
                    answer(refused(error.what()));
                }
            };
            if (by == By::loop) return loop_.post(std::move(work));
            if (by == By::its_job) return in_turn(job, std::move(work));
            (void)threads_.run(std::move(work));
        });
    }

    void in_turn(const std::string& job, std::function<void()> work) {
        {
            const std::lock_guard lock(mutex_);
            auto& turns = turns_[job];
            turns.push_back(std::move(work));
            if (turns.size() > 1) return;
        }
        const bool begun = threads_.run([this, job] {
            std::unique_lock lock(mutex_);
            const auto turns = turns_.find(job);
            while (!turns->second.empty()) {
                const auto next = std::move(turns->second.front());
                lock.unlock();
                next();
                lock.lock();
                turns->second.pop_front();
            }
            turns_.erase(turns);
        });
        if (begun) return;
        const std::lock_guard lock(mutex_);
        turns_.erase(job);
    }

    // ---- what is on the disk ------------------------------------------------------------------

    /// A second site with this home would take the parts that run for ones that have ended, and remove their files.
    void lock_home() {
        const auto path = options_.home / "lock";
        // Not for programs that this process starts: they would hold the lock beyond its end.
        home_lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
        if (!home_lock_.valid()) fail(path.string() + ": " + std::generic_category().message(errno));
        if (!within_a_moment([this] { return ::flock(home_lock_.get(), LOCK_EX | LOCK_NB) == 0; })) {
            fail("the folder " + options_.home.string() +
                 " is in use by another site; end that one first, or give this one a home of its own");
        }
    }

    [[nodiscard]] fs::path folder_of(const std::string& job) const { return jobs_folder_ / job; }

    void remember() {
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(jobs_folder_, error)) {
            auto record = PartRecord::load(entry.path());
            if (!record) {
                // The site was killed before the bundle was there: nobody counts on it.
                fs::remove_all(entry.path(), error);
                continue;
            }
            const auto slot = std::make_shared<Slot>();
            slot->record = *record;
            slot->need = record->need;
            slots_[record->job] = slot;
            if (record->stage != PartRecord::Stage::running) continue;
            if (options_.backend->adopt(spec_of(*record, {}))) {
                resources_.restore(record->job, record->need, record->gpus);
                log::info("job " + record->job + ": its part lives, and is taken over");
                continue;
            }
            record->stage = PartRecord::Stage::ended;
            record->kind = to_string(RunEnd::Kind::killed);
            record->detail = "the site was killed, and its part with it";
            if (const auto saved = record->save(entry.path()); !saved) log::warning(saved.error());
            slot->record = *record;
        }
    }

    RunSpec spec_of(const PartRecord& record, const std::string& setup) const {
        RunSpec spec;
        spec.job = record.job;
        spec.participant = options_.identity.name();
        // Sites may share a Slurm and a user of it, and the run is the same at all of them.
        spec.token = record.run + "-" + spec.participant;
        spec.command = options_.part_command;
        if (!setup.empty()) spec.environment = {std::string(kPartVariable) + "=" + setup};
        spec.directory = folder_of(record.job) / "work";
        spec.log = folder_of(record.job) / "part.log";
        spec.need = record.need;
        spec.gpus = record.gpus;
        return spec;
    }

    /// nullptr: there is none, and none was to be made.
    std::shared_ptr<Slot> slot_of(const std::string& job, bool make) {
        if (const auto error = name_error(job); !error.empty()) throw std::runtime_error("the job's id: " + error);
        const std::lock_guard lock(mutex_);
        auto found = slots_.find(job);
        if (found != slots_.end()) return found->second;
        if (!make) return nullptr;
        auto slot = std::make_shared<Slot>();
        slot->record.job = job;
        return slots_.emplace(job, std::move(slot)).first->second;
    }

    // ---- reservations -------------------------------------------------------------------------

    Shareable check_resources(const hub::Request& request) {
        const auto job = text_in(request.content, "job");
        if (const auto error = name_error(job); !error.empty()) return refused("the job's id: " + error);
        const auto need = resource_need_from(request.content.body);
        const auto token = resources_.reserve(job, need);
        if (!token) return refused(token.error());
        return with({{"token", *token}});
    }

    Shareable cancel_reservation(const hub::Request& request) {
        resources_.cancel(text_in(request.content, "token"));
        return {};
    }

    /// While a job is deployed and started its reservation lasts, as long as somebody is there who goes on with it.
    void renew_later() {
        resources_.expire();
        std::vector<std::string> tokens;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [job, slot] : slots_) {
                if (!slot->token.empty()) tokens.push_back(slot->token);
            }
        }
        for (const auto& token : tokens) {
            if (hub_->connected()) (void)resources_.renew(token);
        }
        loop_.call_after(options_.reservation_time / kRenewals, [this] { renew_later(); });
    }

    // ---- deploy -------------------------------------------------------------------------------

    Shareable deploy(const hub::Request& request) {
        const auto job = text_in(request.content, "job");
        const auto digest = text_in(request.content, "digest");
        const auto slot = slot_of(job, true);
        const auto token = text_in(request.content, "token");
        (void)resources_.renew(token);
        {
            const std::lock_guard lock(mutex_);
            slot->deployment = ++deployments_;
            const auto before = std::exchange(slot->token, token);
            if (before != token) resources_.cancel(before);
            if (const auto need = resources_.need_of(token)) slot->need = *need;
            if (slot->record.digest == digest && !digest.empty()) return {};
        }
        PartRecord record;
        record.job = job;
        record.digest = digest;
        auto done = fetch(request.content, job, digest);
        if (done) done = record.save(folder_of(job));
        if (!done) {
            drop(job, slot);
            return refused(done.error());
        }
        const std::lock_guard lock(mutex_);
        slot->record = record;
        return {};
    }

    tl::expected<void, std::string> fetch(const Shareable& order, const std::string& job, const std::string& digest) {
        const auto signature = signature_from(text_in(order, "signature"));
        if (!signature || !options_.identity.controller->signed_this(*signature, "deploy " + job, digest)) {
            return tl::unexpected(std::string("the bundle is not signed by the controller that this site trusts"));
        }
        return fetch_bundle(*hub_, {job, digest, number_in(order, "bytes"), options_.most_bundle_bytes},
                            folder_of(job));
    }

    void drop(const std::string& job, const std::shared_ptr<Slot>& slot) {
        std::error_code error;
        fs::remove_all(folder_of(job), error);
        if (error) log::warning(folder_of(job).string() + " cannot be removed: " + error.message());
        {
            const std::lock_guard lock(mutex_);
            // No other reservation of the job: after a restart the controller may have made one, while this is the end
            // of what it had begun before.
            resources_.cancel(slot->token);
            slots_.erase(job);
        }
        loop_.post([this] { logs_.look(); });
    }

    // ---- start and end ------------------------------------------------------------------------

    Shareable start_part(const hub::Request& request) {
        const auto job = text_in(request.content, "job");
        const auto run = text_in(request.content, "run");
        const auto token = text_in(request.content, "token");
        const auto slot = slot_of(job, false);
        if (!slot) return refused("the job is not deployed here");
        PartRecord record;
        {
            const std::lock_guard lock(mutex_);
            record = slot->record;
            record.need = slot->need;
            if (record.digest.empty()) return refused("the job is not deployed here");
        }
        if (record.stage == PartRecord::Stage::running && record.run == run) return {};
        if (record.stage != PartRecord::Stage::deployed) {
            return refused("its part was started before, and has ended: " + record.detail);
        }
        auto setup = PartSetup::from_text(text_in(request.content, "setup"));
        if (!setup) return refused(setup.error());
        const auto gpus = resources_.allocate(token);
        if (!gpus) return refused(gpus.error());
        setup->workspace = (folder_of(job) / "work").string();
        setup->endpoint = options_.controller;
        setup->gpus = *gpus;
        setup->bundle_code = options_.bundle_code;
        record.run = run;
        record.gpus = *gpus;
        record.stage = PartRecord::Stage::running;
        // Before it is started: a site that is killed now must not start it a second time.
        if (const auto saved = record.save(folder_of(job)); !saved) {
            resources_.free(job);
            return refused(saved.error());
        }
        {
            const std::lock_guard lock(mutex_);
            slot->token.clear();
            slot->record = record;
        }
        if (const auto started = options_.backend->start(spec_of(record, setup->to_text())); !started) {
            on_end(job, {RunEnd::Kind::backend_failed, {}, started.error().message});
            return refused(started.error().message);
        }
        return {};
    }

    /// On a thread of the backend.
    void on_end(const std::string& job, const RunEnd& end) {
        PartRecord record;
        {
            const std::lock_guard lock(mutex_);
            if (closing_) return;
            const auto found = slots_.find(job);
            if (found == slots_.end()) return;
            auto& own = found->second->record;
            own.stage = PartRecord::Stage::ended;
            own.kind = to_string(end.kind);
            own.detail = end.detail;
            record = own;
        }
        if (const auto saved = record.save(folder_of(job)); !saved) log::warning(saved.error());
        resources_.free(job);
        loop_.post([this] { logs_.look(); });
        hub_->request(hub::kHubName, topic::kPartEnded,
                      with({{"job", job}, {"run", record.run}, {"kind", record.kind}, {"detail", record.detail}}),
                      kAnswer, [](hub::Reply&&) {});
        const std::lock_guard lock(mutex_);
        changed_.notify_all();
    }

    [[nodiscard]] bool runs(const Slot& slot) const { return slot.record.stage == PartRecord::Stage::running; }

    /// In band first, which the controller sees to, then by force.
    Shareable abort_part(const hub::Request& request) {
        const auto job = text_in(request.content, "job");
        const auto slot = slot_of(job, false);
        if (!slot) return {};
        const auto ended = [&] { return closing_ || !runs(*slot); };
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, options_.abort_grace, ended)) return {};
        lock.unlock();
        options_.backend->stop(job);
        lock.lock();
        changed_.wait(lock, ended);
        return {};
    }

    Shareable forget_job(const hub::Request& request) {
        const auto job = text_in(request.content, "job");
        const bool one = request.content.header("deployment") != nullptr;
        if (const auto slot = slot_of(job, false); slot) {
            if (one) {
                const std::lock_guard lock(mutex_);
                if (slot->deployment != number_in(request.content, "deployment")) return {};
            }
            stop_and_drop(job, slot);
        }
        if (!one) resources_.free(job);
        return {};
    }

    void stop_and_drop(const std::string& job, const std::shared_ptr<Slot>& slot) {
        {
            std::unique_lock lock(mutex_);
            if (runs(*slot)) {
                lock.unlock();
                options_.backend->stop(job);
                lock.lock();
            }
            changed_.wait(lock, [&] { return closing_ || !runs(*slot); });
            if (closing_) return;
        }
        drop(job, slot);
    }

    Shareable part_status(const hub::Request& /*request*/) {
        Value::Array parts;
        const std::lock_guard lock(mutex_);
        for (const auto& [job, slot] : slots_) {
            const auto& record = slot->record;
            if (record.digest.empty()) continue;
            parts.push_back(Value::Map{{"job", job},
                                       {"run", record.run},
                                       {"deployment", slot->deployment},
                                       {"state", record.stage_name()},
                                       {"kind", record.kind},
                                       {"detail", record.detail}});
        }
        Shareable content;
        content.body = std::move(parts);
        return content;
    }

    void read_log(const hub::Request& request, hub::Answer answer) {
        if (request.from != hub::kHubName) return answer(refused("only the controller may ask for that"));
        try {
            const auto job = text_in(request.content, "job");
            if (!slot_of(job, false)) return answer(refused("the job is not deployed here"));
            LogReader::Question question;
            question.file = folder_of(job) / "part.log";
            question.offset = number_in(request.content, "offset");
            question.most = std::min<std::int64_t>(number_in(request.content, "bytes"), topic::kChunkBytes);
            question.patience = Milliseconds(
                std::clamp<std::int64_t>(number_in(request.content, "timeout_ms", 0), 0, topic::kLongestWaitMs));
            question.ended = [this, job] {
                const std::lock_guard lock(mutex_);
                const auto found = slots_.find(job);
                return found == slots_.end() || found->second->record.stage == PartRecord::Stage::ended;
            };
            question.answer = [answer](Bytes&& piece, bool ended) {
                auto content = with({{"ended", ended}});
                content.body = std::move(piece);
                answer(std::move(content));
            };
            logs_.ask(std::move(question));
        } catch (const std::exception& error) {
            answer(refused(error.what()));
        }
    }

    // ---- the connection -----------------------------------------------------------------------

    void on_connected() {
        if (options_.on_connection) options_.on_connection(true, {});
        loop_.post([this] { say_state(); });
    }
    void on_lost(const std::string& why) {
        if (options_.on_connection) options_.on_connection(false, why);
    }

    void say_state() {
        if (!hub_->connected()) return;
        Shareable content;
        content.body = Value::Map{{"resources", to_value(resources_.state())}, {"backend", options_.backend->name()}};
        hub_->request(hub::kHubName, topic::kSiteState, std::move(content), kAnswer, [](hub::Reply&& reply) {
            if (reply && !reply->ok()) {
                log::warning("the controller refuses this site's state: " + reply->failure.value_or(Failure{}).message);
            }
        });
    }

    SiteOptions options_;
    UniqueFd home_lock_;
    const fs::path jobs_folder_;
    ResourceManager resources_;
    EventLoop loop_;
    LogReader logs_{loop_};
    std::thread loop_thread_;
    std::unique_ptr<hub::HubClient> hub_;
    RequestThreads threads_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::shared_ptr<Slot>> slots_;
    std::int64_t deployments_ = 0;
    std::map<std::string, std::deque<std::function<void()>>> turns_;  ///< by job: at work, and waiting
    bool closing_ = false;
    bool stopped_ = false;
};

SiteService::~SiteService() = default;

tl::expected<std::unique_ptr<SiteService>, Failure> SiteService::start(SiteOptions options) {
    auto site = std::make_unique<Site>(std::move(options));
    try {
        site->open();
    } catch (const Failure& failure) {
        return tl::unexpected(failure);
    } catch (const std::system_error& error) {
        Failure failure;
        failure.code = ReturnCode::initialisation_error;
        failure.message = std::string(error.what()) + "; raise the limits of threads and open files";
        return tl::unexpected(std::move(failure));
    }
    return site;
}

}  // namespace rankexec::job
