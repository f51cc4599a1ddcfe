// SPDX-License-Identifier: Apache-2.0
#include "fake_run.hpp"

#include "rankexec/core/job/model/part_setup.hpp"
#include "rankexec/core/job/workflow/part_topics.hpp"

namespace rankexec::job {

FakeSite::FakeSite(FakeHub& hub, const std::string& name, std::chrono::milliseconds controller_gone_after)
    : end_of_hub_(hub.make(peer_of_part(kJob, name))) {
    auto& end = end_of_hub_;
    SitePart::Options options;
    options.job = kJob;
    options.participant = name;
    options.controller_gone_after = controller_gone_after;
    part_ = std::make_unique<SitePart>(end, options);
    end.on_connected = [this] { part_->on_connected(); };
    end.on_lost = [this](const std::string& why) { part_->on_lost(why); };
    end.start();
}

FakeSite::~FakeSite() {
    part_->abort("the test is over");
    if (end_.valid()) end_.wait();
    end_of_hub_.close();
}

void FakeSite::start() {
    end_ = std::async(std::launch::async, [this] { return part_->run(work); });
}

SitePart::End FakeSite::wait() { return end_.get(); }

FakeRun::FakeRun(const std::vector<std::string>& sites, int min_sites) {
    options.job = kJob;
    options.sites = sites;
    options.min_sites = min_sites;
    options.result_directory = "/nowhere";
    controller_ = &hub.make(hub::kHubName);
    controller_->handle(topic::kPartReady, [this](hub::Request&& request, const hub::Answer& answer) {
        answer({});
        if (request.from != peer_of_part(kJob, kControllerParticipant)) return;
        const std::lock_guard lock(mutex);
        for (const auto& [site, why] : lost) {
            Shareable content;
            content.headers = {{"site", site}, {"why", why}, {"final", true}};
            controller_->tell(request.from, topic::kSiteLost, std::move(content));
        }
    });
    controller_->handle(topic::kProgress, [this](hub::Request&& request, const hub::Answer&) {
        const std::lock_guard lock(mutex);
        lines.push_back(request.content.header("line")->text_or(""));
    });
    controller_->handle(topic::kSaveSnapshot, [this](hub::Request&& request, const hub::Answer& answer) {
        {
            const std::lock_guard lock(mutex);
            snapshot = *request.content.tensor("snapshot");
        }
        answer({});
    });
    controller_->handle(topic::kLoadSnapshot, [this](hub::Request&&, const hub::Answer& answer) {
        Shareable reply;
        {
            const std::lock_guard lock(mutex);
            if (snapshot) reply.tensors.emplace("snapshot", *snapshot);
        }
        answer(std::move(reply));
    });
    controller_->start();
    hub.connect(hub::kHubName);
    start_controller_part();
}

FakeRun::~FakeRun() {
    abort.trigger("the test is over");
    for (auto& [name, site] : sites_) site->part().abort("the test is over");
    hub.close();
    session_.reset();
    sites_.clear();
}

void FakeRun::start_controller_part() {
    part_ = &hub.make(peer_of_part(kJob, kControllerParticipant));
    session_ = std::make_unique<HubWorkflowSession>(*part_, options, abort);
    part_->on_connected = [this] { session_->on_connected(); };
    part_->start();
    hub.connect(peer_of_part(kJob, kControllerParticipant));
}

void FakeRun::end_controller_part() {
    hub.cut(peer_of_part(kJob, kControllerParticipant));
    part_->close();
    session_.reset();
    ++options.incarnation;
}

void FakeRun::start(const std::string& name) {
    auto& site = sites_[name];
    site = std::make_unique<FakeSite>(hub, name, controller_gone_after);
    site->start();
    hub.connect(peer_of_part(kJob, name));
}

void FakeRun::start_all() {
    for (const auto& name : options.sites) start(name);
}

hub::Reply FakeRun::ask(const std::string& participant, const char* topic, Value::Map headers) {
    Shareable content;
    content.headers = std::move(headers);
    return controller_->ask(peer_of_part(kJob, participant), topic, std::move(content), std::chrono::seconds(10));
}

}  // namespace rankexec::job
