// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "rankexec/core/cli/jobs/part_command.hpp"
#include "rankexec/core/cli/jobs/site_work.hpp"

namespace rankexec::cli {

job::PartReport run_site_part(const job::PartSetup& setup, const Signal& abort) {
    SiteWork work(setup);
    std::unique_ptr<job::SitePart> part;  // made before the client is started, which then calls it
    const auto client = make_part_client(
        setup, [&part] { part->on_connected(); }, [&part](const std::string& why) { part->on_lost(why); });
    job::SitePart::Options options;
    options.job = setup.job;
    options.participant = setup.participant;
    options.incarnation = setup.incarnation;
    options.controller_gone_after = setup.controller_gone_after;
    part = std::make_unique<job::SitePart>(*client, options);
    client->start();
    const auto on_abort = abort.on_trigger([&](const std::string& reason) { part->abort(reason); });

    auto end = part->run(work);
    auto report = empty_report(setup);
    report.outcome = end.outcome;
    report.tasks = end.tasks;
    if (end.failure) {
        report.failure = end.failure->headline();
        report.detail = end.failure->describe();
    }
    send_report(*client, report);
    return report;
}

}  // namespace rankexec::cli
