// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/job_commands.hpp"

#include <optional>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/jobs/job_actions.hpp"
#include "rankexec/core/cli/jobs/job_text.hpp"
#include "rankexec/core/job/model/topics.hpp"

namespace rankexec::cli {
namespace {

namespace topic = job::topic;

int print_json_line(const Value& value) { return print_text(to_json(value) + "\n"); }

/// One action after another of the same client.
struct Act {
    JobClient& client;
    bool json;
    const PackedBundle* bundle;  ///< of submit alone

    int operator()(const JobSubmit& submit) const { return submit_job(client, submit, *bundle, json); }
    int operator()(const JobWait& wait) const { return wait_for_job(client, wait, json); }
    int operator()(const JobLogs& logs) const { return print_logs(client, logs); }
    int operator()(const JobDownload& download) const { return download_job(client, download, json); }

    int operator()(const JobList& list) const {
        Value::Array statuses;
        for (const auto& status : list.statuses) statuses.emplace_back(status);
        Value::Map headers;
        if (!statuses.empty()) headers["statuses"] = std::move(statuses);
        const auto reply = client.ask(topic::kList, std::move(headers));
        if (json) return print_json_line(reply.body);
        std::vector<job::JobRecord> jobs;
        if (const auto* all = reply.body.if_array()) {
            for (const auto& one : *all) jobs.push_back(record_from(one));
        }
        return print_text(job_table(jobs, job::wall_now()));
    }

    int operator()(const JobShow& show) const {
        const auto reply = client.ask(topic::kShow, {{"job", show.job}});
        if (json) return print_json_line(reply.body);
        const auto* record = reply.body.find("record");
        return print_text(job_page(record_from(record == nullptr ? Value() : *record), reply.body, job::wall_now()));
    }

    int operator()(const JobAbort& abort) const {
        const auto reply = client.ask(topic::kAbort, {{"job", abort.job}, {"reason", abort.reason}});
        const auto was = text_in(reply, "was");
        if (json) {
            return print_json_line(Value::Map{{"job", abort.job}, {"status", text_in(reply, "status")}, {"was", was}});
        }
        return print_text("job " + abort.job + " is aborted; it was " + was + "\n");
    }

    int operator()(const JobDelete& remove) const {
        (void)client.ask(topic::kDelete, {{"job", remove.job}});
        if (json) return print_json_line(Value::Map{{"job", remove.job}, {"deleted", true}});
        return print_text("job " + remove.job + " is deleted\n");
    }

    int operator()(const JobSites&) const {
        const auto reply = client.ask(topic::kOverview, {});
        return json ? print_json_line(reply.body) : print_text(sites_table(reply.body));
    }
};

}  // namespace

CommandResult job_command(const JobCommand& command) {
    try {
        // Before the client has threads: a signal that one of them took would end the process at once, and leave the
        // file.
        std::optional<PackedBundle> bundle;
        if (std::holds_alternative<JobSubmit>(command.action)) {
            InterruptWatch::block();
            bundle.emplace();
        }
        JobClient client(command.access);
        return {std::visit(Act{client, command.json, bundle ? &*bundle : nullptr}, command.action), {}};
    } catch (const JobError& error) {
        complain(error.what());
        return {error.exit_code(), {}};
    }
}

}  // namespace rankexec::cli
