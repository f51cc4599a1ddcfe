// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/jobs/part_code.hpp"
#include "rankexec/core/cli/jobs/part_command.hpp"
#include "rankexec/core/cli/jobs/part_log.hpp"
#include "rankexec/core/cli/jobs/run_summary.hpp"
#include "rankexec/core/cli/program_search.hpp"
#include "rankexec/core/cli/resolve_job.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/component/plugin.hpp"
#include "rankexec/core/component/thrown_type.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/workflow/hub_session.hpp"
#include "rankexec/core/job/workflow/workflow_registry.hpp"
#include "rankexec/core/model/event_type.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;
using job::PartOutcome;

/// For sites that are slower than others to begin, once there are enough of them.
constexpr std::chrono::seconds kOtherSites{60};
/// For sites to answer that they have heard of the end.
constexpr std::chrono::seconds kEndTime{10};

[[noreturn]] void refuse(const std::string& message) {
    throw ConfigurationError(ConfigurationError::Kind::job_file, message);
}

job::JobDefinition read_definition(const fs::path& workspace) {
    const auto file = workspace / job::kDefinitionFile;
    std::ifstream stream(file, std::ios::binary);
    if (!stream) refuse(file.string() + ": cannot be read");
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    return job::parse_definition(text, file.string());
}

void load_controller_plugin(const job::JobDefinition& definition, const job::PartSetup& setup,
                            ComponentRegistry& registry) {
    if (definition.controller_plugin.empty()) return;
    const auto found =
        search_job_file(definition.controller_plugin, {setup.workspace, library_folders(), false, false});
    if (!found) refuse("controller plugin: " + found.error().message);
    check_library(*found, setup);
    load_plugin(found->string(), registry);
}

Failure thrown(const std::string& message) {
    Failure failure;
    failure.message = message;
    failure.exception = name_of_thrown_type();
    return failure;
}

/// The workflow, from the moment when its sites are there.
class ControllerRun {
public:
    explicit ControllerRun(const job::PartSetup& setup) : setup_(setup) {
        const auto definition = read_definition(setup.workspace);
        ComponentRegistry registry;
        job::add_workflows(registry);
        load_controller_plugin(definition, setup, registry);
        workflow_ = &job::build_workflow(engine_, registry, definition.components, definition.workflow);
        std::error_code error;
        fs::create_directories(setup.results, error);
        if (error) refuse("the result folder " + setup.results + " cannot be made: " + error.message());
    }

    tl::expected<void, Failure> run(job::HubWorkflowSession& session) {
        if (auto loaded = session.load_snapshot(); !loaded) return loaded;
        if (auto there = session.wait_sites(kOtherSites); !there) return there;
        std::string names;
        for (const auto& site : session.sites()) names += (names.empty() ? "" : ", ") + site;
        session.progress("the run begins at " + names);
        auto context = engine_.new_context();
        context.set("job", setup_.job, Visibility::public_, Lifetime::sticky);
        engine_.fire_event(std::string(event::kStartRun), context);
        auto done = run_workflow(session);
        engine_.fire_event(std::string(event::kAboutToEndRun), context);
        engine_.fire_event(std::string(event::kEndRun), context);
        return done;
    }

private:
    tl::expected<void, Failure> run_workflow(job::WorkflowSession& session) {
        try {
            return workflow_->run(session);
        } catch (const std::exception& error) {
            return tl::unexpected(thrown(error.what()));
        } catch (...) {
            return tl::unexpected(thrown("the workflow threw something that is no std::exception"));
        }
    }

    const job::PartSetup& setup_;
    Engine engine_;
    job::Workflow* workflow_ = nullptr;
};

/// `log` outlives the session.
job::HubWorkflowSession::Options session_options(const job::PartSetup& setup, PartLog& log) {
    job::HubWorkflowSession::Options options;
    options.job = setup.job;
    options.sites = setup.sites;
    options.min_sites = setup.min_sites;
    options.incarnation = setup.incarnation;
    options.result_directory = setup.results;
    options.on_progress = [&log](const std::string& line) { log.say(line); };
    return options;
}

}  // namespace

job::PartReport run_controller_part(const job::PartSetup& setup, const Signal& abort) {
    PartLog log("local");
    ControllerRun run(setup);
    std::unique_ptr<job::HubWorkflowSession> session;  // made before the client is started, which then calls it
    const auto client = make_part_client(setup, [&session] { session->on_connected(); }, {});
    session = std::make_unique<job::HubWorkflowSession>(*client, session_options(setup, log), abort);
    client->start();

    const auto done = run.run(*session);
    auto report = empty_report(setup);
    if (!done) {
        report.outcome = abort.triggered() ? PartOutcome::aborted : PartOutcome::exception;
        report.failure = done.error().headline();
        report.detail = done.error().describe();
    }
    session->end_sites(done ? "the workflow is done" : report.failure, !done, kEndTime);
    session->fill(report);
    if (const auto written = write_summary(setup.results, setup.job_name, report); !written) {
        complain(written.error().message);
    }
    send_report(*client, report);
    return report;
}

}  // namespace rankexec::cli
