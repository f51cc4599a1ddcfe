// SPDX-License-Identifier: Apache-2.0
#include "group_run.hpp"

namespace rankexec {

bool GroupRun::run() {
    RankGroup::Callbacks callbacks;
    callbacks.on_started = [this](const wire::RankStarted& report) {
        started[report.rank] = report;
        if (on_started) on_started(report);
    };
    callbacks.on_output = [this](wire::RankOutput&& report) {
        output[report.rank].append(reinterpret_cast<const char*>(report.bytes.data()), report.bytes.size());
        group_->acknowledge_output(report.rank, report.bytes.size());
        if (on_output) on_output(report);
    };
    callbacks.on_exited = [this](const wire::RankExited& report) {
        exited[report.rank] = report;
        if (on_exited) on_exited(report);
    };
    callbacks.on_lost = [this](const Failure& failure) { lost = failure; };
    callbacks.on_ended = [this](const wire::SupervisionEnded& report) {
        surviving = report.surviving_pids;
        loop_.stop();
    };
    auto group = RankGroup::start(loop_, options_, std::move(callbacks));
    if (!group) {
        lost = group.error();
        return false;
    }
    group_ = std::move(*group);
    loop_.run();
    group_.reset();
    return true;
}

}  // namespace rankexec
