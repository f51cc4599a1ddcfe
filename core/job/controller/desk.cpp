// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/desk.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

class Watcher final : public Component {
public:
    explicit Watcher(std::function<void(const std::string& job)> callback) : callback_(std::move(callback)) {}
    void handle_event(const std::string& /*type*/, Context& context) override {
        const auto job = context.text_or("job_id", "");
        if (!job.empty()) callback_(job);
    }

private:
    const std::function<void(const std::string& job)> callback_;
};

}  // namespace

Desk::Desk(Ports ports, Options options, Engine& engine)
    : ports_(ports),
      options_(std::move(options)),
      engine_(engine),
      uploads_(options_.uploads, options_.most_bundle_bytes) {
    engine_.add("desk", std::make_unique<Watcher>([this](const std::string& job) { on_job_event(job); }));
    thread_ = std::thread([this] { loop_.run(); });
}

Desk::~Desk() { stop(); }

void Desk::stop() {
    if (std::exchange(stopped_, true)) return;
    loop_.post([this] {
        for (auto& waiting : waiting_)
            waiting.answer(Shareable::failed(ReturnCode::task_aborted, "the controller ends"));
        waiting_.clear();
        logs_.close();
    });
    loop_.stop();
    thread_.join();
}

void Desk::take(const char* topic, Handler handler, bool for_users) {
    ports_.hub.handle(topic, [this, handler, for_users](hub::Request&& request, hub::Answer answer) {
        loop_.post([this, handler, for_users, request = std::move(request), answer = std::move(answer)] {
            try {
                if (for_users != request.from.starts_with("user/"))
                    throw Refusal(request.from + " may not ask for that");
                answer((this->*handler)(request));
            } catch (const std::exception& error) {
                answer(refused(error.what()));
            }
        });
    });
}

void Desk::serve() {
    take(topic::kSubmitBegin, &Desk::submit_begin, true);
    take(topic::kSubmitChunk, &Desk::submit_chunk, true);
    take(topic::kSubmitEnd, &Desk::submit_end, true);
    take(topic::kList, &Desk::list, true);
    take(topic::kShow, &Desk::show, true);
    take(topic::kAbort, &Desk::abort, true);
    take(topic::kDelete, &Desk::remove, true);
    take(topic::kDownload, &Desk::download, true);
    take(topic::kOverview, &Desk::overview, true);
    ports_.hub.handle(topic::kWait, [this](hub::Request&& request, hub::Answer answer) {
        loop_.post([this, request = std::move(request), answer = std::move(answer)]() mutable {
            wait(std::move(request), std::move(answer));
        });
    });
    ports_.hub.handle(topic::kLogs, [this](hub::Request&& request, hub::Answer answer) {
        loop_.post([this, request = std::move(request), answer = std::move(answer)]() mutable {
            logs(std::move(request), std::move(answer));
        });
    });
    take(topic::kSiteState, &Desk::site_state, false);
    take(topic::kPartEnded, &Desk::part_ended, false);
    take(topic::kBundleChunk, &Desk::bundle_chunk, false);
    take(topic::kPartReady, &Desk::part_ready, false);
    take(topic::kProgress, &Desk::progress, false);
    take(topic::kFigure, &Desk::figure, false);
    take(topic::kSaveSnapshot, &Desk::save_snapshot, false);
    take(topic::kLoadSnapshot, &Desk::load_snapshot, false);
    take(topic::kPartReport, &Desk::part_report, false);
}

// ---- who asks, for what -----------------------------------------------------------------------

void Desk::set_enrolled(std::map<std::string, EnrolledPeer> peers) {
    const std::lock_guard lock(mutex_);
    enrolled_ = std::move(peers);
}

EnrolledPeer Desk::user_of(const std::string& peer) const {
    const std::lock_guard lock(mutex_);
    const auto found = enrolled_.find(peer);
    if (found == enrolled_.end()) throw Refusal(peer + " is not enrolled any more");
    return found->second;
}

JobRecord Desk::record_of(const std::string& id) const {
    auto record = ports_.store.get(id);
    if (!record) throw Refusal(record.error().message);
    return std::move(*record);
}

JobRecord Desk::job_of(const hub::Request& request) const {
    const auto* header = request.content.header("job");
    const auto wanted = header == nullptr ? std::string() : header->text_or("");
    if (const auto error = name_error(wanted); !error.empty()) throw Refusal("the job's id: " + error);
    if (auto exact = ports_.store.get(wanted)) return std::move(*exact);
    const auto all = ports_.store.list();
    if (!all) throw Refusal(all.error().message);
    const JobRecord* found = nullptr;
    for (const auto& record : *all) {
        if (!record.id.starts_with(wanted)) continue;
        if (found != nullptr)
            throw Refusal("several jobs have an id that begins with " + wanted + "; write more of it");
        found = &record;
    }
    if (found == nullptr) throw Refusal("there is no job " + wanted);
    return *found;
}

void Desk::require(const hub::Request& request, Permission permission, const JobRecord* job) const {
    const auto user = user_of(request.from);
    if (user.may.contains(permission) || (job != nullptr && job->submitter == user.identity.name)) return;
    throw Refusal(request.from + " may not " + std::string(to_string(permission)) +
                  " this job; who may is decided by " + "rankexec user enroll --may");
}

/// The job of a request by a part, "run/JOB/PARTICIPANT".
std::string Desk::part_of_request(const hub::Request& request, std::string& participant) const {
    const auto& from = request.from;
    const auto slash = from.rfind('/');
    if (!from.starts_with("run/") || slash <= 4) throw Refusal(from + " is no part of a job");
    participant = from.substr(slash + 1);
    return from.substr(4, slash - 4);
}

JobRecord Desk::explained(JobRecord record) const {
    if (!is_final(record.status) && !is_active(record.status)) record.reason = ports_.runner.explain(record);
    return record;
}

// ---- submit -----------------------------------------------------------------------------------

JobDefinition Desk::definition_of(const JobRecord& job) {
    const auto bundle = ports_.store.bundle(job.id);
    if (!bundle) throw std::runtime_error(bundle.error().message);
    auto definition = inspect_bundle(*bundle, limits());
    if (definition) return std::move(*definition);
    const auto& failure = definition.error();
    if (failure.code != ReturnCode::bad_request_data) throw std::runtime_error(failure.message);
    throw ConfigurationError(ConfigurationError::Kind::job_file, failure.message);
}

tl::expected<JobRecord, std::string> Desk::submit(const fs::path& bundle, const std::string& submitter,
                                                  const std::string& token) {
    const auto definition = inspect_bundle(bundle, limits());
    if (!definition) return tl::unexpected(definition.error().message);
    const auto digest = bundle_digest(bundle);
    if (!digest) return tl::unexpected(digest.error().message);
    auto record = ports_.store.create({{}, definition->name, submitter, token, *digest}, bundle);
    if (!record) return tl::unexpected(record.error().message);
    fire_job_event(engine_, ports_.store, record->id, job_event::kSubmitted,
                   submitter.empty() ? std::string() : "by " + submitter);
    ports_.runner.wake();
    return std::move(*record);
}

BundleLimits Desk::limits() const {
    BundleLimits limits;
    limits.max_bytes = options_.most_bundle_bytes;
    return limits;
}

Shareable Desk::submit_begin(const hub::Request& request) {
    require(request, Permission::submit, nullptr);
    const auto& content = request.content;
    const auto text = [&](const char* header) {
        const auto* value = content.header(header);
        return value == nullptr ? std::string() : value->text_or("");
    };
    Uploads::Upload upload;
    upload.user = user_of(request.from).identity.name;
    upload.token = text("token");
    upload.digest = text("digest");
    if (const auto* bytes = content.header("bytes"); bytes != nullptr) upload.bytes = bytes->integer_or(0);
    upload.signature = text("signature");
    if (options_.signatures_required) {
        const auto signature = signature_from(upload.signature);
        if (!signature || !user_of(request.from).identity.signed_this(*signature, "submit", upload.digest)) {
            throw Refusal("the bundle is not signed with the key that " + request.from + " is enrolled with");
        }
    }
    if (!upload.token.empty()) {
        const auto all = ports_.store.list();
        if (!all) throw Refusal(all.error().message);
        for (const auto& record : *all) {
            if (record.submitter == upload.user && record.token == upload.token) return with({{"job", record.id}});
        }
    }
    const auto id = uploads_.begin(std::move(upload));
    if (!id) throw Refusal(id.error());
    return with({{"upload", *id}, {"have", uploads_.have(*id)}});
}

Shareable Desk::submit_chunk(const hub::Request& request) {
    const auto* id = request.content.header("upload");
    const auto* offset = request.content.header("offset");
    const auto* piece = request.content.body.if_bytes();
    if (id == nullptr || offset == nullptr || piece == nullptr) throw Refusal("upload, offset or bytes are missing");
    const auto have =
        uploads_.add(user_of(request.from).identity.name, id->text_or(""), offset->integer_or(-1), *piece);
    if (!have) throw Refusal(have.error());
    return with({{"have", *have}});
}

Shareable Desk::submit_end(const hub::Request& request) {
    require(request, Permission::submit, nullptr);
    const auto* id = request.content.header("upload");
    if (id == nullptr) throw Refusal("upload is missing");
    const auto user = user_of(request.from);
    const auto upload = uploads_.take(user.identity.name, id->text_or(""));
    if (!upload) throw Refusal(upload.error());
    const auto done = [&]() -> tl::expected<JobRecord, std::string> {
        const auto digest = bundle_digest(upload->file);
        if (!digest) return tl::unexpected(digest.error().message);
        if (*digest != upload->digest) {
            return tl::unexpected(
                std::string("the bundle has arrived with another digest than was announced; submit again"));
        }
        return submit(upload->file, user.identity.name, upload->token);
    }();
    std::error_code ignored;
    fs::remove(upload->file, ignored);
    if (!done) throw Refusal(done.error());
    return with({{"job", done->id}});
}

// ---- look -------------------------------------------------------------------------------------

Shareable Desk::list(const hub::Request& request) {
    std::vector<JobStatus> statuses;
    if (const auto* wanted = request.content.header("statuses"); wanted != nullptr && wanted->if_array() != nullptr) {
        for (const auto& word : *wanted->if_array()) {
            const auto status = job_status_from(word.text_or(""));
            if (!status) throw Refusal("\"" + word.text_or("") + "\" is no status of a job");
            statuses.push_back(*status);
        }
    }
    auto all = ports_.store.list(statuses);
    if (!all) throw Refusal(all.error().message);
    Shareable content;
    Value::Array jobs;
    jobs.reserve(all->size());
    for (auto& record : *all) jobs.push_back(to_value(explained(std::move(record))));
    content.body = std::move(jobs);
    return content;
}

Shareable Desk::show(const hub::Request& request) {
    const auto record = explained(job_of(request));
    const auto events = ports_.store.events(record.id);
    if (!events) throw Refusal(events.error().message);
    Value::Array history;
    Value::Array progress;
    Value::Map figures;
    for (const auto& event : *events) {
        if (event.type == job_event::kProgress) {
            progress.push_back(event.text);
        } else if (event.type == job_event::kFigure) {
            const auto first = event.text.find(' ');
            const auto second = event.text.find(' ', first + 1);
            if (second == std::string::npos) continue;
            auto& series = figures[event.text.substr(0, first)];
            if (series.if_array() == nullptr) series = Value::Array{};
            series.if_array()->push_back(
                Value::Array{static_cast<std::int64_t>(std::stoll(event.text.substr(first + 1, second - first - 1))),
                             std::stod(event.text.substr(second + 1))});
        } else {
            history.push_back(Value::Map{{"at", to_text(event.at)}, {"type", event.type}, {"text", event.text}});
        }
    }
    Value::Array participants;
    for (const auto& one : ports_.runner.participants(record.id)) {
        participants.push_back(Value::Map{{"name", one.name}, {"state", one.state}, {"detail", one.detail}});
    }
    Shareable content;
    content.body = Value::Map{{"record", to_value(record)},
                              {"events", std::move(history)},
                              {"progress", std::move(progress)},
                              {"figures", std::move(figures)},
                              {"participants", std::move(participants)}};
    return content;
}

Shareable Desk::overview(const hub::Request& /*request*/) {
    const auto all = ports_.store.list();
    if (!all) throw Refusal(all.error().message);
    Value::Map counts;
    std::map<std::string, Value::Array> jobs_of;
    for (const auto& record : *all) {
        auto& count = counts[std::string(to_string(record.status))];
        count = count.integer_or(0) + 1;
        if (!is_active(record.status)) continue;
        for (const auto& site : record.sites) jobs_of[site].push_back(record.id);
    }
    Value::Array sites;
    for (const auto& view : ports_.sites.views()) {
        sites.push_back(Value::Map{{"name", view.site},
                                   {"connected", view.connected},
                                   {"resources", to_value(view.resources)},
                                   {"backend", view.backend},
                                   {"jobs", std::move(jobs_of[view.site])}});
    }
    Shareable content;
    content.body = Value::Map{{"sites", std::move(sites)}, {"jobs", std::move(counts)}};
    return content;
}

// ---- wait -------------------------------------------------------------------------------------

void Desk::on_job_event(const std::string& job) {
    loop_.post([this, job] {
        look_at_waiting(job);
        logs_.look();
    });
}

void Desk::wait(hub::Request&& request, hub::Answer answer) {
    try {
        const auto record = job_of(request);
        const auto* version = request.content.header("version");
        const auto* timeout = request.content.header("timeout_ms");
        waiting_.push_back({record.id, version == nullptr ? -1 : version->integer_or(-1), std::move(answer)});
        const auto entry = std::prev(waiting_.end());
        const auto limit =
            std::clamp<std::int64_t>(timeout == nullptr ? 0 : timeout->integer_or(0), 0, topic::kLongestWaitMs);
        entry->timer = loop_.call_after(std::chrono::milliseconds(limit), [this, entry] {
            entry->over = true;
            look_at_waiting(std::string(entry->job));
        });
        look_at_waiting(record.id);
    } catch (const std::exception& error) {
        answer(refused(error.what()));
    }
}

void Desk::look_at_waiting(const std::string& job) {
    std::optional<JobRecord> now;
    for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
        if (waiting->job != job) {
            ++waiting;
            continue;
        }
        if (!now) {
            auto record = ports_.store.get(job);
            now = record ? explained(std::move(*record)) : JobRecord{};
        }
        // Who has waited for its end may delete it then: while it is cleaned up that would be refused.
        const bool cleaning = is_final(now->status) && std::ranges::count(ports_.runner.running(), job) > 0;
        if (now->id.empty()) {
            waiting->answer(refused("job " + job + " was deleted"));
        } else if ((!cleaning && (waiting->version != now->version || is_final(now->status))) || waiting->over) {
            Shareable content;
            content.headers = {{"ended", is_final(now->status) && !cleaning}};
            content.body = to_value(*now);
            waiting->answer(std::move(content));
        } else {
            ++waiting;
            continue;
        }
        loop_.cancel(waiting->timer);
        waiting = waiting_.erase(waiting);
    }
}

}  // namespace rankexec::job
