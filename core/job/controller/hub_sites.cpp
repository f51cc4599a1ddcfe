// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/hub_sites.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>

#include "rankexec/core/job/model/message_fields.hpp"
#include "rankexec/core/job/model/topics.hpp"

namespace rankexec::job {
namespace {

/// A site that is busy forgets a job later; it must not be spared that because nobody waits any more.
constexpr std::chrono::minutes kForgetDeadline{10};

std::string peer_of(const std::string& site) { return "site/" + site; }

/// Why a reply is no success, for people; empty when it is one.
std::string refusal(const hub::Reply& reply) {
    if (!reply) return reply.error().message;
    if (reply->ok()) return {};
    const auto why = reply->failure ? reply->failure->message : std::string();
    return why.empty() ? std::string(to_string(reply->code)) : why;
}

PartState::Stage stage_from(const std::string& text) {
    if (text == "running") return PartState::Stage::running;
    if (text == "ended") return PartState::Stage::ended;
    return text == "deployed" ? PartState::Stage::deployed : PartState::Stage::none;
}

}  // namespace

HubSites::HubSites(hub::HubServer& hub, std::function<BundleInfo(const std::string& job)> bundle_of,
                   Milliseconds check_timeout)
    : hub_(hub), bundle_of_(std::move(bundle_of)), check_timeout_(check_timeout) {}

void HubSites::on_state(const std::string& site, ResourceState resources, std::string backend) {
    const std::lock_guard lock(mutex_);
    views_[site] = {site, true, std::move(resources), std::move(backend)};
}

void HubSites::on_lost(const std::string& site) {
    const std::lock_guard lock(mutex_);
    if (const auto found = views_.find(site); found != views_.end()) found->second.connected = false;
}

std::vector<HubSites::View> HubSites::views() const {
    const std::lock_guard lock(mutex_);
    std::vector<View> all;
    for (const auto& [site, view] : views_) all.push_back(view);
    return all;
}

bool HubSites::is_connected(const std::string& site) const {
    const std::lock_guard lock(mutex_);
    const auto found = views_.find(site);
    return found != views_.end() && found->second.connected;
}

std::vector<SitePool::Site> HubSites::connected() {
    const std::lock_guard lock(mutex_);
    std::vector<Site> sites;
    for (const auto& [site, view] : views_) {
        if (view.connected) sites.push_back({site, view.resources});
    }
    return sites;
}

std::map<std::string, hub::Reply> HubSites::ask_all(const std::string& topic, std::vector<Ask> asks,
                                                    Milliseconds timeout, Milliseconds deadline) {
    // Shared with callbacks that come after this has returned.
    struct Collected {
        std::mutex mutex;
        std::condition_variable changed;
        std::map<std::string, hub::Reply> replies;
    };
    const auto collected = std::make_shared<Collected>();
    const auto count = asks.size();
    for (auto& [site, content] : asks) {
        const auto put = [collected, site = site](hub::Reply&& reply) {
            const std::lock_guard lock(collected->mutex);
            collected->replies.emplace(site, std::move(reply));
            collected->changed.notify_all();
        };
        if (!is_connected(site)) {
            Failure away;
            away.code = ReturnCode::not_ready;
            away.message = "the site is not connected";
            put(tl::unexpected(std::move(away)));
            continue;
        }
        hub_.request(peer_of(site), topic, std::move(content), std::max(timeout, deadline), put);
    }
    std::unique_lock lock(collected->mutex);
    const auto all = [&] { return collected->replies.size() == count; };
    if (deadline > timeout) {
        collected->changed.wait_for(lock, timeout, all);
    } else {
        collected->changed.wait(lock, all);
    }
    return collected->replies;
}

std::map<std::string, SitePool::Answer> HubSites::reserve(const std::string& job,
                                                          const std::vector<Question>& questions) {
    std::vector<Ask> asks;
    for (const auto& question : questions) {
        Shareable content;
        content.headers = {{"job", job}};
        content.body = to_value(question.need);
        asks.push_back({question.site, std::move(content)});
    }
    std::map<std::string, Answer> answers;
    for (const auto& [site, reply] : ask_all(topic::kCheckResources, std::move(asks), check_timeout_)) {
        if (const auto why = refusal(reply); !why.empty()) {
            answers.emplace(site, tl::unexpected(why));
        } else {
            answers.emplace(site, text_in(*reply, "token"));
        }
    }
    return answers;
}

void HubSites::cancel(const std::string& site, const std::string& token) {
    Shareable content;
    content.headers = {{"token", token}};
    hub_.tell(peer_of(site), topic::kCancelReservation, std::move(content));
}

Sites::Outcomes HubSites::deploy(const std::string& job, const std::vector<Order>& orders, Milliseconds timeout) {
    Outcomes outcomes;
    std::vector<Ask> asks;
    try {
        const auto bundle = bundle_of_(job);
        for (const auto& order : orders) {
            Shareable content;
            content.headers = {{"job", job},
                               {"digest", bundle.digest},
                               {"bytes", bundle.bytes},
                               {"signature", bundle.signature},
                               {"token", order.token}};
            asks.push_back({order.site, std::move(content)});
        }
    } catch (const std::exception& error) {
        for (const auto& order : orders) outcomes[order.site] = tl::unexpected(std::string(error.what()));
        return outcomes;
    }
    for (const auto& [site, reply] : ask_all(topic::kDeploy, std::move(asks), timeout)) {
        const auto why = refusal(reply);
        outcomes[site] = why.empty() ? Done() : tl::unexpected(why);
    }
    return outcomes;
}

Sites::Outcomes HubSites::start(const std::string& job, const std::string& run, const std::vector<Order>& orders,
                                Milliseconds timeout) {
    std::vector<Ask> asks;
    for (const auto& order : orders) {
        Shareable content;
        content.headers = {{"job", job}, {"token", order.token}, {"run", run}, {"setup", order.setup}};
        asks.push_back({order.site, std::move(content)});
    }
    Outcomes outcomes;
    for (const auto& [site, reply] : ask_all(topic::kStartPart, std::move(asks), timeout)) {
        const auto why = refusal(reply);
        outcomes[site] = why.empty() ? Done() : tl::unexpected(why);
    }
    return outcomes;
}

void HubSites::abort(const std::string& job, const std::vector<std::string>& sites, const std::string& reason,
                     Milliseconds timeout) {
    std::vector<Ask> asks;
    for (const auto& site : sites) {
        Shareable content;
        content.headers = {{"job", job}, {"reason", reason}};
        asks.push_back({site, std::move(content)});
    }
    (void)ask_all(topic::kAbortPart, std::move(asks), timeout);
}

tl::expected<std::vector<PartState>, std::string> HubSites::parts(const std::string& site, Milliseconds timeout) {
    auto replies = ask_all(topic::kPartStatus, {{site, {}}}, timeout);
    const auto& reply = replies.begin()->second;
    if (auto why = refusal(reply); !why.empty()) return tl::unexpected(std::move(why));
    std::vector<PartState> parts;
    if (const auto* array = reply->body.if_array(); array != nullptr) {
        for (const auto& entry : *array) {
            const auto text = [&](const char* field) {
                const auto* value = entry.find(field);
                return value == nullptr ? std::string() : value->text_or("");
            };
            parts.push_back({text("job"), text("run"), stage_from(text("state")), text("kind"), text("detail")});
        }
    }
    return parts;
}

tl::expected<PartState, std::string> HubSites::part(const std::string& site, const std::string& job,
                                                    Milliseconds timeout) {
    auto all = parts(site, timeout);
    if (!all) return tl::unexpected(std::move(all.error()));
    for (auto& part : *all) {
        if (part.job == job) return std::move(part);
    }
    PartState none;
    none.job = job;
    return none;
}

void HubSites::forget(const std::string& job, const std::vector<std::string>& sites, Milliseconds timeout) {
    std::vector<Ask> asks;
    for (const auto& site : sites) {
        Shareable content;
        content.headers = {{"job", job}};
        asks.push_back({site, std::move(content)});
    }
    // Who is not there is asked what it has when it comes back.
    (void)ask_all(topic::kForgetJob, std::move(asks), timeout, kForgetDeadline);
}

std::string HubSites::log_tail(const std::string& site, const std::string& job, std::size_t bytes,
                               Milliseconds timeout) {
    Shareable content;
    content.headers = {
        {"job", job}, {"offset", -static_cast<std::int64_t>(bytes)}, {"bytes", static_cast<std::int64_t>(bytes)}};
    auto replies = ask_all(topic::kReadLog, {{site, std::move(content)}}, timeout);
    const auto& reply = replies.begin()->second;
    if (!refusal(reply).empty()) return {};
    const auto* tail = reply->body.if_bytes();
    return tail == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(tail->data()), tail->size());
}

}  // namespace rankexec::job
