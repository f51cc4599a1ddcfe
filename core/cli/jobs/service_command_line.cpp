// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/service_command_line.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <limits>

#include "rankexec/core/cli/usage.hpp"
#include "rankexec/core/job/model/job_definition.hpp"

namespace rankexec::cli {
namespace {

using std::chrono::milliseconds;

/// Parses with CLI11 and gives what `read` makes of it.
Command parsed(CLI::App& app, const std::vector<std::string>& arguments, const std::function<Command()>& read) {
    app.get_formatter()->column_width(32);
    refuse_empty_values(app);
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
        return PrintCommand{app.help()};
    } catch (const CLI::ParseError& error) {
        const std::string said = error.what();
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch)) {
            throw UsageError{said.substr(0, said.find(':')) + ": its value is missing"};
        }
        if (!app.remaining().empty()) {
            throw UsageError{"'" + app.remaining().front() + "' is not expected by " + app.get_name()};
        }
        throw UsageError{said};
    }
    return read();
}

std::int64_t mebibytes(const std::string& option, const std::string& text) {
    return std::int64_t{whole_number(option, text, std::numeric_limits<int>::max())} << 20U;
}

void check_name(const std::string& what, const std::string& name) {
    if (const auto error = job::name_error(name); !error.empty()) throw UsageError{what + ": " + error};
}

}  // namespace

Command parse_serve_command(const std::vector<std::string>& arguments) {
    CLI::App app("Runs a controller: takes jobs from users and runs them on sites.", "rankexec serve");
    std::string home;
    std::vector<std::string> listen;
    std::string max_jobs;
    std::string max_attempts;
    std::string bundle;
    std::string deploy_timeout;
    std::string start_timeout;
    std::string site_return_timeout;
    std::string restore;
    bool unsigned_bundles = false;
    bool no_bundle_code = false;
    app.add_option("--home", home, "folder of its identity, peers, jobs (~/.rankexec/controller)")->type_name("DIR");
    add_repeated(app, "--listen", listen, "where sites and users connect (tcp://127.0.0.1:7770)", "ENDPOINT");
    app.add_option("--max-jobs", max_jobs, "jobs that run at the same time (1)")->type_name("N");
    app.add_option("--max-attempts", max_attempts, "attempts to schedule a job (10)")->type_name("N");
    app.add_option("--max-bundle", bundle, "largest bundle, in MiB (1024)")->type_name("MIB");
    app.add_option("--deploy-timeout", deploy_timeout, "for sites to unpack a job (600)")->type_name("SECONDS");
    app.add_option("--start-timeout", start_timeout, "for sites to start their part (60)")->type_name("SECONDS");
    app.add_option("--site-return-timeout", site_return_timeout, "for a lost site to come back (60)")
        ->type_name("SECONDS");
    app.add_option("--after-restart", restore,
                   "jobs that were running: restore (default), abandon, take-over (they are abnormal)")
        ->type_name("WHAT");
    app.add_flag("--allow-unsigned", unsigned_bundles, "take bundles without a signature");
    app.add_flag("--no-bundle-code", no_bundle_code, "load no library that comes with a job into its controller part");
    return parsed(app, arguments, [&]() -> Command {
        ServeCommand command;
        command.home = home;
        command.listen = listen;
        command.unsigned_bundles = unsigned_bundles;
        auto& runner = command.runner;
        runner.run.bundle_code = !no_bundle_code;
        if (!max_jobs.empty()) runner.schedule.max_jobs = whole_number("--max-jobs", max_jobs, 1000);
        if (!max_attempts.empty()) runner.schedule.max_attempts = whole_number("--max-attempts", max_attempts, 1000);
        if (!bundle.empty()) command.most_bundle_bytes = mebibytes("--max-bundle", bundle);
        if (!deploy_timeout.empty()) runner.run.deploy_timeout = seconds("--deploy-timeout", deploy_timeout);
        if (!start_timeout.empty()) runner.run.start_timeout = seconds("--start-timeout", start_timeout);
        if (!site_return_timeout.empty()) {
            runner.run.site_return_timeout = seconds("--site-return-timeout", site_return_timeout);
        }
        if (restore == "abandon") {
            runner.restore = job::JobRunnerOptions::Restore::abandon;
        } else if (restore == "take-over") {
            runner.restore = job::JobRunnerOptions::Restore::take_over;
        } else if (!restore.empty() && restore != "restore") {
            throw UsageError{"--after-restart: '" + restore + "' is neither restore nor abandon nor take-over"};
        }
        return command;
    });
}

Command parse_site_command(const std::vector<std::string>& arguments) {
    CLI::App app(
        "Runs a site: takes its parts of jobs from a controller and runs them here. Made known to the "
        "controller by: rankexec site enroll",
        "rankexec site");
    std::string name;
    std::string identity;
    std::string controller;
    std::string home;
    std::string backend;
    std::string gpus;
    std::string cores;
    std::string memory;
    std::vector<std::string> sbatch_args;
    bool no_bundle_code = false;
    app.add_option("--name", name, "the site's name, as it was enrolled")->type_name("NAME");
    app.add_option("--identity", identity, "the file that `rankexec site enroll` has made (NAME.site)")
        ->type_name("FILE");
    app.add_option("--controller", controller, "where the controller listens (as in the identity)")
        ->type_name("ENDPOINT");
    app.add_option("--home", home, "folder of the jobs' workspaces (~/.rankexec/site-NAME)")->type_name("DIR");
    app.add_option("--backend", backend, "what runs the parts: local (default) or slurm")->type_name("BACKEND");
    add_repeated(app, "--sbatch-arg", sbatch_args, "for sbatch, with --backend slurm", "ARG");
    app.add_option("--gpus", gpus, "GPUs as ID:MIB,ID:MIB, or none (those of this machine)")->type_name("LIST");
    app.add_option("--cores", cores, "cores (those of this machine)")->type_name("N");
    app.add_option("--memory", memory, "memory in MiB (that of this machine)")->type_name("MIB");
    app.add_flag("--no-bundle-code", no_bundle_code, "start no program and load no library that comes with a job");
    return parsed(app, arguments, [&]() -> Command {
        SiteCommand command;
        if (name.empty() && identity.empty()) {
            throw UsageError{"which site? give --name, or --identity with the file of rankexec site enroll"};
        }
        if (!name.empty()) check_name("--name", name);
        command.name = name;
        command.identity = identity.empty() ? name + ".site" : identity;
        command.controller = controller;
        command.home = home;
        if (!backend.empty()) command.backend = backend;
        if (command.backend != "local" && command.backend != "slurm") {
            throw UsageError{"--backend: '" + backend + "' is neither local nor slurm"};
        }
        command.sbatch_args = sbatch_args;
        command.bundle_code = !no_bundle_code;
        if (!sbatch_args.empty() && command.backend != "slurm") {
            throw UsageError{"--sbatch-arg: is for --backend slurm"};
        }
        if (!gpus.empty()) command.resources.gpus = gpus;
        if (!cores.empty()) command.resources.cores = whole_number("--cores", cores, 1'000'000);
        if (!memory.empty()) {
            command.resources.memory_mib = whole_number("--memory", memory, std::numeric_limits<int>::max());
        }
        return command;
    });
}

Command parse_job_run_command(const std::vector<std::string>& arguments) {
    CLI::App app("Runs one job here: its controller and all of its sites in this one command.", "rankexec job run");
    std::vector<std::string> folder;
    std::vector<std::string> sites;
    std::string results;
    bool json = false;
    app.add_option("folder", folder, "folder with a job.toml")->type_name("FOLDER")->expected(0, -1);
    add_repeated(app, "--site", sites, "a site of that name (those that the job names)", "NAME");
    app.add_option("--results", results, "where its results go (NAME-results)")->type_name("DIR");
    app.add_flag("--json", json, "the outcome as JSON on standard output");
    return parsed(app, arguments, [&]() -> Command {
        if (folder.empty()) throw UsageError{"no job; give its folder: rankexec job run FOLDER"};
        if (folder.size() > 1) throw UsageError{"one job at a time; '" + folder[1] + "' is not expected"};
        for (const auto& site : sites) check_name("--site", site);
        return JobRunCommand{folder.front(), sites, results, json};
    });
}

}  // namespace rankexec::cli
