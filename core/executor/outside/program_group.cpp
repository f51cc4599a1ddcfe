// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/program_group.hpp"

#include <string_view>
#include <system_error>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec {
namespace {

tl::unexpected<Failure> launch_failure(std::string message) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = std::move(message);
    return tl::unexpected(std::move(failure));
}

}  // namespace

ProgramGroup::ProgramGroup(int world_size, OutputPump::Sink sink, std::function<void()> on_change)
    : on_change_(std::move(on_change)), record_(world_size) {
    pump_ = std::make_unique<OutputPump>(std::move(sink), [this](int rank, std::size_t bytes) {
        loop_.post([this, rank, bytes] {
            if (group_) group_->acknowledge_output(rank, bytes);
        });
    });
}

tl::expected<std::unique_ptr<ProgramGroup>, Failure> ProgramGroup::start(const GroupOptions& options,
                                                                         OutputPump::Sink sink,
                                                                         std::function<void()> on_change) {
    try {
        std::unique_ptr<ProgramGroup> group(
            new ProgramGroup(options.world_size, std::move(sink), std::move(on_change)));
        auto started = RankGroup::start(group->loop_, options, group->callbacks());
        if (!started) return tl::unexpected(std::move(started.error()));
        group->group_ = std::move(*started);
        group->thread_ = std::thread([raw = group.get()] { raw->loop_.run(); });
        return group;
    } catch (const std::system_error& error) {
        return launch_failure(std::string("the program cannot be looked after: ") + error.what() +
                              "; raise the limits of open files or processes (ulimit -n, -u)");
    }
}

ProgramGroup::~ProgramGroup() {
    if (thread_.joinable()) end(Milliseconds(0));
    pump_.reset();  // its acknowledgements are posted to the loop
    if (!thread_.joinable()) return;
    loop_.post([this] { group_.reset(); });
    loop_.stop();
    thread_.join();
}

// ---- on the loop's thread ---------------------------------------------------------------------

RankGroup::Callbacks ProgramGroup::callbacks() {
    RankGroup::Callbacks callbacks;
    callbacks.on_started = [this](const wire::RankStarted& started) { change([&] { record_.add_started(started); }); };
    callbacks.on_output = [this](wire::RankOutput&& output) { on_output(std::move(output)); };
    callbacks.on_exited = [this](const wire::RankExited& exited) { on_exited(exited); };
    callbacks.on_lost = [this](const Failure& failure) { change([&] { lost_ = failure; }); };
    callbacks.on_ended = [this](const wire::SupervisionEnded& report) { on_ended(report.surviving_pids); };
    return callbacks;
}

void ProgramGroup::change(const std::function<void()>& what) {
    {
        const std::lock_guard lock(mutex_);
        what();
    }
    room_.notify();
    if (on_change_) on_change_();
}

void ProgramGroup::on_output(wire::RankOutput&& output) {
    if (output.rank == 0 && output.stream == wire::OutputStream::standard_output) {
        const std::lock_guard lock(mutex_);
        output_.append({reinterpret_cast<const char*>(output.bytes.data()), output.bytes.size()});
    }
    pump_->push(std::move(output));
}

void ProgramGroup::on_exited(const wire::RankExited& exited) {
    bool first_failure = false;
    change([&] {
        const bool failed_before = record_.any_failed();
        record_.add_exited(exited, GroupRecord::Clock::now());
        first_failure = !failed_before && record_.any_failed();
        // Nobody else can be the cause.
        failed_ = failed_ || (record_.any_failed() && record_.all_exited());
    });
    if (!first_failure) return;
    loop_.call_after(GroupRecord::kSettle, [this] { change([&] { failed_ = true; }); });
}

void ProgramGroup::on_ended(const std::vector<std::int64_t>& surviving) {
    std::string pids;
    for (const auto pid : surviving) pids += " " + std::to_string(pid);
    if (!pids.empty()) log::error("these processes of a launched program could not be ended:" + pids);
    change([&] { ended_ = true; });
}

// ---- any thread -------------------------------------------------------------------------------

RunStatus ProgramGroup::status_locked() const {
    if (failed_ || lost_) return RunStatus::failed;
    if (record_.any_failed()) return RunStatus::running;  // the cause is not known yet
    if (record_.all_exited()) return RunStatus::success;
    return ended_ ? RunStatus::failed : RunStatus::running;
}

RunStatus ProgramGroup::status() const {
    const std::lock_guard lock(mutex_);
    return status_locked();
}

Failure ProgramGroup::failure_locked() const {
    if (record_.cause()) {
        auto failure = record_.failure();
        if (failure.pid == 0 && !failure.stderr_tail.empty()) failure.message = failure.stderr_tail.front();
        return failure;
    }
    if (lost_) return *lost_;
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "it was ended before it ran";
    return failure;
}

tl::expected<void, Failure> ProgramGroup::wait_until_started(const Signal& abort) {
    const auto subscription = room_.follow(abort);
    while (true) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(mutex_);
            if (record_.all_started()) return {};
            if (status_locked() == RunStatus::failed || ended_) return tl::unexpected(failure_locked());
        }
        if (abort.triggered()) return launch_failure("it was given up while it started: " + abort.reason());
        room_.wait(seen, pipe::deadline_after(Milliseconds::max()));
    }
}

bool ProgramGroup::wait_until_exited(Milliseconds timeout) {
    const auto deadline = pipe::deadline_after(timeout);
    while (true) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(mutex_);
            if (ended_ || lost_ || record_.all_exited()) return true;
        }
        if (pipe::Clock::now() >= deadline) return false;
        room_.wait(seen, deadline);
    }
}

void ProgramGroup::end(Milliseconds grace) {
    loop_.post([this, grace] {
        if (group_) group_->request_end(grace);
    });
    while (true) {
        const auto seen = room_.changes();
        {
            const std::lock_guard lock(mutex_);
            if (ended_) return;
        }
        room_.wait(seen, pipe::deadline_after(Milliseconds::max()));
    }
}

ProgramReport ProgramGroup::report() const {
    const std::lock_guard lock(mutex_);
    ProgramReport report;
    if (record_.cause()) {
        report.facts = record_.failure();
    } else if (lost_) {
        report.facts = *lost_;
    } else {
        report.facts = record_.facts(0);
        report.ended_by_us = record_.ended_by_us(0);
    }
    // Whose output it is.
    if (report.facts.rank.value_or(0) == 0) report.output_tail = output_.lines();
    return report;
}

}  // namespace rankexec
