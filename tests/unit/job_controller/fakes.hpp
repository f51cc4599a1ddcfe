// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rankexec/core/job/backend/run_backend.hpp"
#include "rankexec/core/job/controller/sites.hpp"

namespace rankexec::job::test {

/// What the code under test was heard to say, as lines, in order.
class Heard {
public:
    void add(const std::string& line) {
        const std::lock_guard lock(mutex_);
        lines_.push_back(line);
        changed_.notify_all();
    }
    [[nodiscard]] bool wait_for(const std::string& line, std::chrono::milliseconds timeout) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, timeout, [&] { return std::ranges::find(lines_, line) != lines_.end(); });
    }
    [[nodiscard]] std::vector<std::string> lines() const {
        const std::lock_guard lock(mutex_);
        return lines_;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> lines_;
};

/// Sites that do what the test says, and remember what they were asked for, as "deploy a".
class FakeSites final : public Sites {
public:
    void connect(const std::string& site) {
        const std::lock_guard lock(mutex_);
        connected_.insert(site);
    }
    void disconnect(const std::string& site) {
        const std::lock_guard lock(mutex_);
        connected_.erase(site);
    }
    /// What the site answers to that request from now on; empty: success.
    void answer(const std::string& request, const std::string& site, const std::string& why) {
        const std::lock_guard lock(mutex_);
        refusals_[request + " " + site] = why;
    }
    /// It gets that request from now on, and nothing comes back.
    void stays_silent(const std::string& request, const std::string& site) {
        const std::lock_guard lock(mutex_);
        silent_.insert(request + " " + site);
    }
    void has(const std::string& site, PartState::Stage stage, const std::string& kind = {}) {
        const std::lock_guard lock(mutex_);
        parts_[site] = {"", "", stage, kind, kind};
    }
    /// Called, on the caller's thread, before the request is answered.
    void on_request(std::function<void(const std::string& request)> callback) {
        const std::lock_guard lock(mutex_);
        on_request_ = std::move(callback);
    }
    [[nodiscard]] std::vector<std::string> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    /// That the last such request had.
    [[nodiscard]] std::string token(const std::string& request) const {
        const std::lock_guard lock(mutex_);
        const auto found = tokens_.find(request);
        return found == tokens_.end() ? std::string() : found->second;
    }
    [[nodiscard]] int reserved() const {
        const std::lock_guard lock(mutex_);
        return reserved_;
    }

    std::vector<Site> connected() override {
        const std::lock_guard lock(mutex_);
        std::vector<Site> sites;
        for (const auto& site : connected_) sites.push_back({site, {}});
        return sites;
    }
    std::map<std::string, Answer> reserve(const std::string& /*job*/, const std::vector<Question>& questions) override {
        std::map<std::string, Answer> answers;
        for (const auto& question : questions) {
            auto done = ask("reserve", question.site);
            const std::lock_guard lock(mutex_);
            if (done) ++reserved_;
            answers.emplace(question.site, done ? Answer("token of " + question.site) : tl::unexpected(done.error()));
        }
        return answers;
    }
    void cancel(const std::string& site, const std::string& /*token*/) override {
        (void)ask("cancel", site);
        const std::lock_guard lock(mutex_);
        --reserved_;
    }
    Outcomes deploy(const std::string& /*job*/, const std::vector<Order>& orders, Milliseconds /*timeout*/) override {
        return ask_all("deploy", orders);
    }
    Outcomes start(const std::string& /*job*/, const std::string& /*run*/, const std::vector<Order>& orders,
                   Milliseconds /*timeout*/) override {
        return ask_all("start", orders);
    }
    void abort(const std::string& /*job*/, const std::vector<std::string>& sites, const std::string& /*reason*/,
               Milliseconds /*timeout*/) override {
        for (const auto& site : sites) (void)ask("abort", site);
    }
    tl::expected<PartState, std::string> part(const std::string& site, const std::string& /*job*/,
                                              Milliseconds /*timeout*/) override {
        const std::lock_guard lock(mutex_);
        if (!connected_.contains(site)) return tl::unexpected(std::string("it is not connected"));
        return parts_[site];
    }
    void forget(const std::string& /*job*/, const std::vector<std::string>& sites, Milliseconds /*timeout*/) override {
        for (const auto& site : sites) {
            (void)ask("forget", site);
            const std::lock_guard lock(mutex_);
            --reserved_;
        }
    }
    std::string log_tail(const std::string& /*site*/, const std::string& /*job*/, std::size_t /*bytes*/,
                         Milliseconds /*timeout*/) override {
        return "a line\n";
    }
    bool is_connected(const std::string& site) const override {
        const std::lock_guard lock(mutex_);
        return connected_.contains(site);
    }

private:
    Done ask(const std::string& request, const std::string& site) {
        std::function<void(const std::string&)> callback;
        std::string why;
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(request + " " + site);
            callback = on_request_;
            if (const auto found = refusals_.find(request + " " + site); found != refusals_.end()) why = found->second;
        }
        if (callback) callback(request + " " + site);
        return why.empty() ? Done() : tl::unexpected(why);
    }
    Outcomes ask_all(const std::string& request, const std::vector<Order>& orders) {
        Outcomes outcomes;
        for (const auto& order : orders) {
            auto done = ask(request, order.site);
            const std::lock_guard lock(mutex_);
            tokens_[request + " " + order.site] = order.token;
            if (!silent_.contains(request + " " + order.site)) outcomes[order.site] = std::move(done);
        }
        return outcomes;
    }

    mutable std::mutex mutex_;
    std::set<std::string> connected_;
    std::map<std::string, std::string> refusals_;
    std::set<std::string> silent_;
    std::map<std::string, std::string> tokens_;
    std::map<std::string, PartState> parts_;
    std::vector<std::string> requests_;
    std::function<void(const std::string&)> on_request_;
    int reserved_ = 0;
};

/// Controller parts that end when the test says so.
class FakeBackend final : public RunBackend {
public:
    void on_end(OnEnd callback) override { on_end_ = std::move(callback); }
    tl::expected<void, Failure> start(const RunSpec& spec) override {
        const std::lock_guard lock(mutex_);
        if (!refusal_.empty()) {
            Failure failure;
            failure.message = refusal_;
            return tl::unexpected(std::move(failure));
        }
        running_.insert(spec.job);
        starts_.push_back(spec.job);
        last_spec_ = spec;
        changed_.notify_all();
        return {};
    }
    bool adopt(const RunSpec& spec) override {
        const std::lock_guard lock(mutex_);
        if (adopts) running_.insert(spec.job);
        return adopts;
    }
    void stop(const std::string& job) override {
        {
            const std::lock_guard lock(mutex_);
            stops_.push_back(job);
        }
        end(job, {RunEnd::Kind::stopped, {}, "stopped"});
    }
    bool runs(const std::string& job) const override {
        const std::lock_guard lock(mutex_);
        return running_.contains(job);
    }
    std::string name() const override { return "fake"; }

    void refuse(const std::string& why) {
        const std::lock_guard lock(mutex_);
        refusal_ = why;
    }
    void end(const std::string& job, const RunEnd& how) {
        {
            const std::lock_guard lock(mutex_);
            if (running_.erase(job) == 0) return;
        }
        on_end_(job, how);
    }
    void wait_until_started(const std::string& job) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return running_.contains(job); });
    }
    [[nodiscard]] std::vector<std::string> starts() const {
        const std::lock_guard lock(mutex_);
        return starts_;
    }
    [[nodiscard]] std::vector<std::string> stops() const {
        const std::lock_guard lock(mutex_);
        return stops_;
    }
    [[nodiscard]] RunSpec last_spec() const {
        const std::lock_guard lock(mutex_);
        return last_spec_;
    }
    bool adopts = false;  ///< every run lives; set it before

private:
    mutable std::mutex mutex_;
    std::string refusal_;  ///< of start()
    std::condition_variable changed_;
    std::set<std::string> running_;
    std::vector<std::string> starts_;
    std::vector<std::string> stops_;
    RunSpec last_spec_;
    OnEnd on_end_;
};

}  // namespace rankexec::job::test
