// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/hub_session.hpp"

#include <condition_variable>
#include <stdexcept>
#include <utility>

#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"
#include "rankexec/core/job/workflow/shareable_bytes.hpp"

namespace rankexec::job {
namespace {

/// A task takes as long as it takes; the board decides when nobody waits for it any more.
constexpr std::chrono::hours kTaskTime{24};
constexpr std::chrono::seconds kStateTime{30};

constexpr const char* kSnapshotTensor = "snapshot";
/// What of the session goes into a snapshot, beside the workflow's own state.
constexpr const char* kTaskCount = "rankexec.task_count";

Shareable refusal(std::string why) { return Shareable::failed(ReturnCode::bad_request_data, std::move(why)); }

std::string text_header(const Shareable& content, const char* name) {
    const auto* value = content.header(name);
    return value == nullptr ? std::string() : value->text_or("");
}

}  // namespace

HubWorkflowSession::HubWorkflowSession(hub::HubEnd& hub, Options options, Signal abort)
    : hub_(hub),
      options_(std::move(options)),
      abort_(std::move(abort)),
      board_({options_.sites, options_.min_sites, options_.incarnation, options_.site_gone_after}, hooks(), abort_) {
    take_topics();
}

HubWorkflowSession::~HubWorkflowSession() = default;

std::string HubWorkflowSession::peer_of(const std::string& site) const { return peer_of_part(options_.job, site); }

std::string HubWorkflowSession::site_of(const std::string& peer) const {
    const auto prefix = peer_of_part(options_.job, "");
    return peer.starts_with(prefix) ? peer.substr(prefix.size()) : std::string();
}

TaskBoard::Hooks HubWorkflowSession::hooks() {
    TaskBoard::Hooks hooks;
    hooks.send = [this](const std::string& site, const TaskMessage& message, TaskBoard::OnReply on_reply) {
        hub_.request(peer_of(site), topic::kTask, message.pack(), kTaskTime, std::move(on_reply));
    };
    hooks.give_up = [this](const std::string& site, const std::string& id, const std::string& reason) {
        Shareable content;
        content.headers = {{"id", id}, {"reason", reason}};
        hub_.tell(peer_of(site), topic::kAbortTask, std::move(content));
    };
    return hooks;
}

void HubWorkflowSession::take_topics() {
    hub_.handle(topic::kPartReady, [this](hub::Request&& request, const hub::Answer& answer) {
        const auto site = site_of(request.from);
        if (!board_.knows(site)) return answer(refusal("\"" + request.from + "\" has no part of this job"));
        board_.site_ready(site);
        answer({});
    });
    hub_.handle(topic::kSiteLost, [this](hub::Request&& request, const hub::Answer& answer) {
        if (request.from != hub::kHubName) return answer(refusal("only the controller says who is lost"));
        const auto* final = request.content.header("final");
        const auto site = text_header(request.content, "site");
        const auto why = text_header(request.content, "why");
        if (final != nullptr && final->boolean_or(false)) {
            board_.site_gone(site, why);
        } else {
            board_.site_away(site, why);
        }
        answer({});
    });
    hub_.handle(topic::kAbortRun, [this](hub::Request&& request, const hub::Answer& answer) {
        if (request.from != hub::kHubName) return answer(refusal("only the controller aborts a run"));
        answer({});
        abort_.trigger(text_header(request.content, "reason"));
    });
}

void HubWorkflowSession::on_connected() {
    say_ready();
    for (const auto& site : options_.sites) ask_state(site);
}

void HubWorkflowSession::say_ready() {
    Shareable content;
    content.headers = {{"incarnation", options_.incarnation}};
    hub_.request(hub::kHubName, topic::kPartReady, std::move(content), kStateTime, [this](hub::Reply&& reply) {
        if (!reply && reply.error().code == ReturnCode::task_timeout && !abort_.triggered()) say_ready();
    });
}

void HubWorkflowSession::ask_state(const std::string& site) {
    hub_.request(peer_of(site), topic::kPartState, {}, kStateTime, [this, site](hub::Reply&& reply) {
        if (!reply && reply.error().code == ReturnCode::task_timeout && !abort_.triggered()) return ask_state(site);
        if (!reply || !reply->ok()) return;  // it says part_ready when it comes
        const auto* ready = reply->header("ready");
        if (ready != nullptr && ready->boolean_or(false)) board_.site_ready(site);
    });
}

void HubWorkflowSession::end_sites(const std::string& reason, bool aborted, Milliseconds timeout) {
    struct Answers {
        std::mutex mutex;
        std::condition_variable changed;
        std::size_t missing = 0;
    };
    const auto answers = std::make_shared<Answers>();
    answers->missing = options_.sites.size();
    for (const auto& site : options_.sites) {
        Shareable content;
        content.headers = {{"reason", reason}, {"aborted", aborted}};
        hub_.request(peer_of(site), topic::kEndPart, std::move(content), timeout, [answers](hub::Reply&&) {
            const std::lock_guard lock(answers->mutex);
            --answers->missing;
            answers->changed.notify_all();
        });
    }
    std::unique_lock lock(answers->mutex);
    answers->changed.wait(lock, [&] { return answers->missing == 0; });
}

Shareable HubWorkflowSession::relay(const std::vector<std::string>& sites, const std::string& task,
                                    const Shareable& input, Milliseconds timeout) {
    if (sites.empty()) return refusal("task \"" + task + "\" is to be relayed, but to no site");
    auto passed = input;
    for (const auto& site : sites) {
        passed = board_.send(site, task, passed, timeout);
        if (!passed.ok()) break;
    }
    return passed;
}

void HubWorkflowSession::save_snapshot(const Shareable& state) {
    auto kept = state;
    const auto count = board_.task_count();
    kept.headers.insert_or_assign(kTaskCount, count);
    const auto bytes = to_bytes(kept);
    if (!bytes) throw std::runtime_error("the run's state cannot be saved: " + bytes.error());
    Shareable content;
    const Shape shape{static_cast<std::int64_t>(bytes->size())};
    content.tensors.emplace(kSnapshotTensor, Tensor::copy_bytes(DType::uint8, shape, *bytes));
    const auto reply = hub_.ask(hub::kHubName, topic::kSaveSnapshot, std::move(content), options_.answer_timeout);
    if (reply && reply->ok()) return board_.set_covered(count);
    const auto failure = reply ? reply->failure.value_or(Failure{}) : reply.error();
    throw std::runtime_error("the controller could not save the run's state: " + failure.headline());
}

tl::expected<void, Failure> HubWorkflowSession::load_snapshot() {
    auto reply = hub_.ask(hub::kHubName, topic::kLoadSnapshot, {}, options_.answer_timeout);
    if (!reply) return tl::unexpected(std::move(reply.error()));
    if (!reply->ok()) return tl::unexpected(reply->failure.value_or(Failure{}));
    const auto* bytes = reply->tensor(kSnapshotTensor);
    if (bytes == nullptr) return {};
    auto state = shareable_from(bytes->bytes());
    if (!state) {
        Failure failure;
        failure.code = ReturnCode::execution_result_error;
        failure.message = "the run's saved state cannot be read: " + state.error();
        return tl::unexpected(std::move(failure));
    }
    if (const auto* count = state->header(kTaskCount)) {
        board_.set_task_count(count->integer_or(0));
        board_.set_covered(count->integer_or(0));
    }
    state->headers.erase(kTaskCount);
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(*state);
    return {};
}

std::optional<Shareable> HubWorkflowSession::snapshot() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
}

void HubWorkflowSession::progress(const std::string& line) {
    if (options_.on_progress) options_.on_progress(line);
    {
        const std::lock_guard lock(mutex_);
        progress_.push_back(line);
        if (progress_.size() > PartReport::kMostProgressKept) progress_.pop_front();
    }
    Shareable content;
    content.headers = {{"line", line}};
    hub_.tell(hub::kHubName, topic::kProgress, std::move(content));
}

void HubWorkflowSession::figure(const std::string& name, std::int64_t step, double value) {
    {
        const std::lock_guard lock(mutex_);
        figures_[name].emplace_back(step, value);
    }
    Shareable content;
    content.headers = {{"name", name}, {"step", step}, {"value", value}};
    hub_.tell(hub::kHubName, topic::kFigure, std::move(content));
}

void HubWorkflowSession::fill(PartReport& report) const {
    {
        const std::lock_guard lock(mutex_);
        report.figures = figures_;
        report.progress.assign(progress_.begin(), progress_.end());
    }
    report.tasks = board_.task_count();
    report.late_results = board_.late_results();
}

}  // namespace rankexec::job
