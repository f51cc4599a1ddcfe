// SPDX-License-Identifier: Apache-2.0
// What the desk does for users with jobs that are there, and for sites and parts.
#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "rankexec/core/job/bundle/archive_entry.hpp"
#include "rankexec/core/job/controller/desk.hpp"
#include "rankexec/core/job/controller/job_event.hpp"
#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/model/topics.hpp"
#include "rankexec/core/job/workflow/part_report.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kSiteAnswer{10'000};
constexpr const char* kSnapshotTensor = "snapshot";

/// At most kChunkBytes of the file from `offset` on (negative: from its end), and its size. Throws Refusal.
std::pair<Bytes, std::int64_t> piece_of(const fs::path& file, std::int64_t offset) {
    std::ifstream in(file, std::ios::binary | std::ios::ate);
    if (!in) throw Refusal(file.filename().string() + " is not there");
    const auto size = static_cast<std::int64_t>(in.tellg());
    const auto from = std::clamp<std::int64_t>(offset < 0 ? size + offset : offset, 0, size);
    Bytes piece(static_cast<std::size_t>(std::min<std::int64_t>(size - from, topic::kChunkBytes)));
    in.seekg(from);
    in.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    if (!in) throw Refusal(file.filename().string() + " cannot be read");
    return {std::move(piece), size};
}

Shareable log_piece(Bytes&& piece, bool ended) {
    auto content = with({{"ended", ended}});
    content.body = std::move(piece);
    return content;
}

}  // namespace

// ---- users: jobs that are there ---------------------------------------------------------------

Shareable Desk::abort(const hub::Request& request) {
    const auto record = job_of(request);
    require(request, Permission::abort, &record);
    auto reason = text_in(request.content, "reason");
    reason = "aborted by " + user_of(request.from).identity.name + (reason.empty() ? "" : ": " + reason);
    const auto aborted = ports_.runner.abort(record.id, reason);
    if (!aborted) {
        if (is_final(record.status)) {
            throw Refusal("job " + record.id + " has ended already: " + std::string(to_string(record.status)));
        }
        throw Refusal(aborted.error().message);
    }
    return with({{"status", to_string(aborted->status)}, {"was", to_string(record.status)}});
}

Shareable Desk::remove(const hub::Request& request) {
    const auto record = job_of(request);
    require(request, Permission::remove, &record);
    if (const auto removed = ports_.runner.remove(record.id); !removed) throw Refusal(removed.error().message);
    look_at_waiting(record.id);
    return {};
}

Shareable Desk::download(const hub::Request& request) {
    const auto record = job_of(request);
    if (!is_final(record.status)) {
        throw Refusal("job " + record.id + " is " + std::string(to_string(record.status)) +
                      "; its results are there when it has ended (rankexec job wait)");
    }
    const auto archive = ports_.store.workspace(record.id);
    if (!archive) throw Refusal(archive.error().message);
    auto [piece, size] = piece_of(*archive, number_in(request.content, "offset", 0));
    auto content = with({{"bytes", size}});
    content.body = std::move(piece);
    return content;
}

/// A part's log: while the job is active where the part writes it, later from the archive of its workspace.
void Desk::logs(hub::Request&& request, hub::Answer answer) {
    try {
        if (!request.from.starts_with("user/")) throw Refusal(request.from + " may not ask for that");
        const auto record = job_of(request);
        auto participant = text_in(request.content, "participant");
        if (participant.empty()) participant = kControllerParticipant;
        if (const auto error = name_error(participant); !error.empty()) throw Refusal(error);
        const auto offset = number_in(request.content, "offset");
        if (is_over(record.id)) return answer(kept_log(record, participant, offset));
        const Milliseconds patience(
            std::clamp<std::int64_t>(number_in(request.content, "timeout_ms"), 0, topic::kLongestWaitMs));
        if (participant != kControllerParticipant) {
            return site_log({record.id, participant, offset, patience}, std::move(answer));
        }
        logs_.ask({options_.runs / record.id / "controller.log", offset, topic::kChunkBytes, patience,
                   [this, id = record.id] { return is_over(id); },
                   [answer](Bytes&& piece, bool /*over*/) { answer(log_piece(std::move(piece), false)); }});
    } catch (const std::exception& error) {
        answer(refused(error.what()));
    }
}

/// Of a part that a site has. As long as the site does not have it, and may get it, there is no more of it.
void Desk::site_log(const LogOrder& order, hub::Answer answer) {
    auto asked = with({{"job", order.job},
                       {"offset", order.offset},
                       {"bytes", static_cast<std::int64_t>(topic::kChunkBytes)},
                       {"timeout_ms", order.patience.count()}});
    const auto on_reply = [this, order, answer = std::move(answer)](hub::Reply&& reply) {
        if (!reply) return answer(refused(reply.error().message));
        if (reply->ok()) {
            const auto* ended = reply->header("ended");
            reply->headers = {{"ended", ended != nullptr && ended->boolean_or(false)}};
            return answer(std::move(*reply));
        }
        if (order.patience.count() == 0) return answer(std::move(*reply));
        loop_.post([this, order, answer] {
            const auto record = ports_.store.get(order.job);
            if (!record) return answer(refused(record.error().message));
            logs_.ask({{},
                       0,
                       0,
                       order.patience,
                       [this, job = order.job, status = record->status] {
                           const auto now = ports_.store.get(job);
                           return !now || now->status != status || is_over(job);
                       },
                       [answer](Bytes&& piece, bool /*changed*/) { answer(log_piece(std::move(piece), false)); }});
        });
    };
    ports_.hub.request("site/" + order.participant, topic::kReadLog, std::move(asked), order.patience + kSiteAnswer,
                       on_reply);
}

/// Ended, and cleaned up.
bool Desk::is_over(const std::string& job) const {
    const auto record = ports_.store.get(job);
    return (!record || is_final(record->status)) && !fs::exists(options_.runs / job);
}

Shareable Desk::kept_log(const JobRecord& record, const std::string& participant, std::int64_t offset) const {
    const auto archive = ports_.store.workspace(record.id);
    if (!archive) throw Refusal("job " + record.id + " has never run, and has no logs");
    const auto text = read_from_archive(*archive, participant + ".log");
    if (!text) throw Refusal("there is no log of " + participant + ": " + text.error());
    const auto from = std::min<std::size_t>(static_cast<std::size_t>(std::max<std::int64_t>(offset, 0)), text->size());
    const auto rest = std::string_view(*text).substr(from, topic::kChunkBytes);
    const auto bytes = std::as_bytes(std::span(rest));
    return log_piece(Bytes(bytes.begin(), bytes.end()), from + rest.size() == text->size());
}

// ---- sites ------------------------------------------------------------------------------------

void Desk::on_connected(const std::string& peer) { log::info(peer + " is connected"); }

void Desk::on_lost(const std::string& peer, const std::string& why) {
    log::info(peer + " is lost: " + why);
    loop_.post([this, peer, why] {
        if (peer.starts_with("site/")) {
            const auto site = peer.substr(5);
            ports_.sites.on_lost(site);
            ports_.runner.on_site_lost(site);
        } else if (peer.starts_with("run/")) {
            std::string participant;
            const auto job = part_of_request({peer, {}, {}}, participant);
            if (participant == kControllerParticipant) return;
            tell_site_lost(job, participant, why, false);
        }
    });
}

void Desk::tell_site_lost(const std::string& job, const std::string& site, const std::string& why, bool final) {
    ports_.hub.tell(peer_of_part(job, kControllerParticipant), topic::kSiteLost,
                    with({{"site", site}, {"why", why}, {"final", final}}));
}

Shareable Desk::site_state(const hub::Request& request) {
    if (!request.from.starts_with("site/")) throw Refusal(request.from + " is no site");
    const auto site = request.from.substr(5);
    const auto* resources = request.content.body.find("resources");
    const auto* backend = request.content.body.find("backend");
    if (resources == nullptr) throw Refusal("resources are missing");
    const bool fresh = !ports_.sites.is_connected(site);
    ports_.sites.on_state(site, resource_state_from(*resources), backend == nullptr ? "" : backend->text_or(""));
    if (fresh) {
        reconcile(site);
    } else {
        ports_.runner.wake();
    }
    return {};
}

/// What a site that has come (back) still has is compared with what it should have.
void Desk::reconcile(const std::string& site) {
    ports_.hub.request("site/" + site, topic::kPartStatus, {}, kSiteAnswer, [this, site](hub::Reply&& reply) {
        loop_.post([this, site, reply = std::move(reply)] {
            if (!reply || !reply->ok()) {
                log::warning("site/" + site + " does not say which jobs it has: " +
                             (reply ? reply->failure.value_or(Failure{}).message : reply.error().message));
            } else if (const auto* parts = reply->body.if_array(); parts != nullptr) {
                std::map<std::string, std::string> states;
                std::map<std::string, std::int64_t> deployments;
                for (const auto& part : *parts) {
                    const auto text = [&](const char* field) {
                        const auto* value = part.find(field);
                        return value == nullptr ? std::string() : value->text_or("");
                    };
                    states[text("job")] = text("state");
                    const auto* deployment = part.find("deployment");
                    deployments[text("job")] = deployment == nullptr ? 0 : deployment->integer_or(0);
                    if (text("state") == "ended") {
                        ports_.runner.on_site_part_end(site, text("job"), text("kind"), text("detail"));
                    }
                }
                const auto active = ports_.runner.running();
                for (const auto& [job, state] : states) {
                    if (std::ranges::find(active, job) != active.end()) continue;
                    // It may be scheduled, and deployed there again, at this very moment.
                    ports_.hub.tell("site/" + site, topic::kForgetJob,
                                    with({{"job", job}, {"deployment", deployments[job]}}));
                }
                for (const auto& job : active) {
                    for (const auto& one : ports_.runner.participants(job)) {
                        if (one.name != site || one.state != "running" || states[job] == "running") continue;
                        ports_.runner.on_site_part_end(site, job, "killed",
                                                       "the site was restarted, and no longer has its part");
                    }
                }
            }
            ports_.runner.on_site_connected(site);
            if (options_.on_site) options_.on_site(site);
        });
    });
}

Shareable Desk::part_ended(const hub::Request& request) {
    if (!request.from.starts_with("site/")) throw Refusal(request.from + " is no site");
    const auto site = request.from.substr(5);
    const auto job = text_in(request.content, "job");
    const auto detail = text_in(request.content, "detail");
    ports_.runner.on_site_part_end(site, job, text_in(request.content, "kind"), detail);
    tell_site_lost(job, site, detail, true);
    return {};
}

Shareable Desk::bundle_chunk(const hub::Request& request) {
    if (!request.from.starts_with("site/")) throw Refusal(request.from + " is no site");
    const auto job = text_in(request.content, "job");
    const auto active = ports_.runner.running();
    if (std::ranges::find(active, job) == active.end()) throw Refusal("job " + job + " is not active");
    const auto bundle = ports_.store.bundle(job);
    if (!bundle) throw Refusal(bundle.error().message);
    Shareable content;
    content.body = piece_of(*bundle, std::max<std::int64_t>(number_in(request.content, "offset", 0), 0)).first;
    return content;
}

// ---- parts ------------------------------------------------------------------------------------

Shareable Desk::part_ready(const hub::Request& request) {
    std::string participant;
    const auto job = part_of_request(request, participant);
    log::info("job " + job + ": the part of " + participant + " is ready");
    if (participant != kControllerParticipant) return {};
    // What it was told before it was connected is lost, and it would wait for these sites.
    for (const auto& one : ports_.runner.participants(job)) {
        const bool gone = one.name != kControllerParticipant && (one.state == "ended" || one.state == "left out");
        if (gone) tell_site_lost(job, one.name, one.detail, true);
    }
    return {};
}

Shareable Desk::progress(const hub::Request& request) {
    std::string participant;
    const auto job = part_of_request(request, participant);
    fire_job_event(engine_, ports_.store, job, job_event::kProgress, text_in(request.content, "line"));
    return {};
}

Shareable Desk::figure(const hub::Request& request) {
    std::string participant;
    const auto job = part_of_request(request, participant);
    const auto name = text_in(request.content, "name");
    if (const auto error = name_error(name); !error.empty()) throw Refusal("a figure's name: " + error);
    const auto* value = request.content.header("value");
    fire_job_event(engine_, ports_.store, job, job_event::kFigure,
                   name + " " + std::to_string(number_in(request.content, "step", 0)) + " " +
                       std::to_string(value == nullptr ? 0.0 : value->real_or(0)));
    return {};
}

Shareable Desk::save_snapshot(const hub::Request& request) {
    std::string participant;
    const auto job = part_of_request(request, participant);
    if (participant != kControllerParticipant) throw Refusal("only the controller part has a snapshot");
    const auto found = request.content.tensors.find(kSnapshotTensor);
    if (found == request.content.tensors.end()) throw Refusal("the snapshot is missing");
    const auto bytes = found->second.bytes();
    if (const auto saved = ports_.store.save_snapshot(job, Bytes(bytes.begin(), bytes.end())); !saved) {
        throw Refusal(saved.error().message);
    }
    return {};
}

Shareable Desk::load_snapshot(const hub::Request& request) {
    std::string participant;
    const auto job = part_of_request(request, participant);
    if (participant != kControllerParticipant) throw Refusal("only the controller part has a snapshot");
    auto snapshot = ports_.store.snapshot(job);
    if (!snapshot) throw Refusal(snapshot.error().message);
    Shareable content;
    if (*snapshot) {
        auto buffer = TensorBuffer::make(DType::uint8, {static_cast<std::int64_t>((*snapshot)->size())});
        std::ranges::copy(**snapshot, buffer.bytes().begin());
        content.tensors.emplace(kSnapshotTensor, std::move(buffer).finish());
    }
    return content;
}

Shareable Desk::part_report(const hub::Request& request) {
    std::string participant;
    const auto job = part_of_request(request, participant);
    const auto report = part_report_from(request.content.body);
    if (!report) throw Refusal(report.error());
    if (report->outcome == PartOutcome::success) return {};
    const auto what = report->failure.empty() ? std::string(to_string(report->outcome)) : report->failure;
    if (participant == kControllerParticipant) {
        ports_.runner.on_report(job, what);
    } else {
        fire_job_event(engine_, ports_.store, job, job_event::kPartFailed, participant + ": " + what);
    }
    return {};
}

}  // namespace rankexec::job
