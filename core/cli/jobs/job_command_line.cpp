// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/jobs/job_command_line.hpp"

#include <algorithm>
#include <utility>

#include <CLI/CLI.hpp>

#include "rankexec/core/cli/usage.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/job/model/job_status.hpp"

namespace rankexec::cli {
namespace {

/// What CLI11 fills in, before it is checked.
struct JobWords {
    std::string identity, controller, token, statuses, participant, reason, into, timeout;
    std::vector<std::string> operands;
    bool json = false, wait = false, follow = false, archive = false;
};

struct JobApps {
    CLI::App* submit;
    CLI::App* list;
    CLI::App* show;
    CLI::App* logs;
    CLI::App* abort;
    CLI::App* remove;
    CLI::App* download;
    CLI::App* wait;
    CLI::App* sites;
    [[nodiscard]] std::vector<CLI::App*> all() const {
        return {submit, list, show, logs, abort, remove, download, wait, sites};
    }
};

JobApps add_commands(CLI::App& app, JobWords& words) {
    JobApps apps{};
    apps.submit = app.add_subcommand("submit", "Hand a job to the controller: rankexec job submit FOLDER");
    apps.submit->add_option("folder", words.operands, "its folder, with job.toml; or a bundle (.tar.gz)")
        ->type_name("FOLDER");
    apps.submit->add_option("--token", words.token, "submit it once, however often this is called with the same token")
        ->type_name("TEXT");
    apps.submit->add_flag("--wait", words.wait, "wait for its end, as rankexec job wait");
    apps.list = app.add_subcommand("list", "Jobs, oldest first");
    apps.list->add_option("--status", words.statuses, "only those with one of these")->type_name("A,B");
    apps.show = app.add_subcommand("show", "What a job waits for, or does, or how it ended");
    apps.logs = app.add_subcommand("logs", "The output of a part of a job");
    apps.logs->add_option("--participant", words.participant, "whose part: a site's name, or controller (default)")
        ->type_name("NAME");
    apps.logs->add_flag("-f,--follow", words.follow, "go on until the part has ended");
    apps.abort = app.add_subcommand("abort", "End a job");
    apps.abort->add_option("--reason", words.reason, "for those who look at it later")->type_name("TEXT");
    apps.remove = app.add_subcommand("delete", "Remove a job that has ended, with its results");
    apps.download = app.add_subcommand("download", "Get the results of a job that has ended");
    apps.download->add_option("--into", words.into, "new folder for them, or file (NAME-ID)")->type_name("PATH");
    apps.download->add_flag("--archive", words.archive, "as one .tar.gz");
    apps.wait = app.add_subcommand("wait", "Wait for a job's end: 0 when it is completed, 1 when it is not");
    apps.wait->add_option("--timeout", words.timeout, "seconds, and 124 then; without it as long as it takes")
        ->type_name("S");
    for (auto* command : {apps.show, apps.logs, apps.abort, apps.remove, apps.download, apps.wait}) {
        command->add_option("job", words.operands, "its id, or how that begins")->type_name("JOB");
    }
    apps.sites = app.add_subcommand("sites", "Sites, what they have and what runs there");
    for (auto* command : apps.all()) {
        command
            ->add_option("--identity", words.identity, "file of your keys ($RANKEXEC_IDENTITY, ~/.rankexec/identity)")
            ->type_name("FILE");
        command->add_option("--controller", words.controller, "where it listens (as the identity says)")
            ->type_name("ENDPOINT");
        if (command != apps.logs) command->add_flag("--json", words.json, "one line of JSON on standard output");
        refuse_empty_values(*command);
    }
    // Of `rankexec job run`, which is read elsewhere.
    app.add_subcommand("run", "Run one job here, controller and sites in one command: rankexec job run FOLDER");
    app.get_formatter()->column_width(32);
    return apps;
}

std::string operand(const JobWords& words, const std::string& command, const char* what, const char* example) {
    if (words.operands.empty()) {
        throw UsageError{std::string("no ") + what + "; give one: rankexec job " + command + " " + example};
    }
    if (words.operands.size() > 1) {
        throw UsageError{std::string("one ") + what + " at a time; '" + words.operands[1] + "' is not expected"};
    }
    return words.operands.front();
}

std::string job_operand(const JobWords& words, const CLI::App& command) {
    auto job = operand(words, command.get_name(), "job", "JOB");
    if (const auto error = job::name_error(job); !error.empty()) throw UsageError{"'" + job + "' is no job: " + error};
    return job;
}

JobList list_action(const JobWords& words) {
    JobList list{split_commas(words.statuses)};
    for (const auto& status : list.statuses) {
        if (job::job_status_from(status)) continue;
        std::vector<std::string> known;
        for (int number = 0; const auto one = job::job_status_from(std::int64_t{number}); ++number) {
            known.emplace_back(to_string(*one));
        }
        std::string all;
        for (const auto& name : known) all += (all.empty() ? "" : ", ") + name;
        const auto nearest = suggestion(status, known);
        throw UsageError{"--status: '" + status + "' is no status" +
                         (nearest.empty() ? "; there are " + all : nearest)};
    }
    return list;
}

JobAction action_of(const JobApps& apps, const JobWords& words) {
    if (apps.submit->parsed()) return JobSubmit{operand(words, "submit", "job", "FOLDER"), words.token, words.wait};
    if (apps.list->parsed()) return list_action(words);
    if (apps.show->parsed()) return JobShow{job_operand(words, *apps.show)};
    if (apps.logs->parsed()) return JobLogs{job_operand(words, *apps.logs), words.participant, words.follow};
    if (apps.abort->parsed()) return JobAbort{job_operand(words, *apps.abort), words.reason};
    if (apps.remove->parsed()) return JobDelete{job_operand(words, *apps.remove)};
    if (apps.download->parsed()) return JobDownload{job_operand(words, *apps.download), words.into, words.archive};
    if (apps.sites->parsed()) return JobSites{};
    JobWait wait{job_operand(words, *apps.wait), std::nullopt};
    if (!words.timeout.empty()) wait.timeout = seconds("--timeout", words.timeout);
    return wait;
}

[[noreturn]] void refuse(const CLI::ParseError& error, const CLI::App& app, const std::string& command,
                         const std::string& first) {
    const std::string said = error.what();
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch)) {
        throw UsageError{said.substr(0, said.find(':')) + ": its value is missing"};
    }
    if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) throw UsageError{said};
    std::vector<std::string> names;
    for (const auto* one : app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(one->get_name());
        if (!one->parsed() || one->remaining().empty()) continue;
        throw UsageError{"'" + one->remaining().front() + "' is not expected by " + command + " " + one->get_name()};
    }
    if (names.empty()) throw UsageError{"'" + app.remaining().front() + "' is not expected by " + command};
    throw UsageError{"'" + first + "' is no command of " + command + suggestion(first, names)};
}

}  // namespace

Command parse_job_command(const std::vector<std::string>& arguments) {
    CLI::App app("Hands jobs to a controller, and looks after them.", "rankexec job");
    JobWords words;
    const auto apps = add_commands(app, words);
    if (arguments.empty()) return PrintCommand{app.help()};
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
        for (auto* command : apps.all()) {
            if (command->parsed()) return PrintCommand{command->help()};
        }
        return PrintCommand{app.help()};
    } catch (const CLI::ParseError& error) {
        refuse(error, app, "rankexec job", arguments.front());
    }
    const auto used = std::ranges::any_of(apps.all(), [](const auto* command) { return command->parsed(); });
    if (!used) return PrintCommand{app.help()};
    return JobCommand{{words.identity, words.controller}, action_of(apps, words), words.json};
}

Command parse_enroll_command(bool site, const std::vector<std::string>& arguments) {
    const std::string role = site ? "site" : "user";
    const auto command_name = "rankexec " + role + " enroll";
    CLI::App app("Makes a " + role + " known to the controller, on the controller's machine, and writes its identity.",
                 command_name);
    EnrollCommand command;
    command.site = site;
    std::vector<std::string> names;
    app.add_option("name", names, "the " + role + "'s name")->type_name("NAME")->expected(0, -1);
    app.add_option("--home", command.home, "the controller's folder (~/.rankexec/controller)")->type_name("DIR");
    app.add_option("--controller", command.controller,
                   "where it listens, as the " + role + " reaches it (" + "tcp://127.0.0.1:7770)")
        ->type_name("ENDPOINT");
    app.add_option("--out", command.out, "file for the identity (NAME." + role + "); whoever has it is that " + role)
        ->type_name("FILE");
    app.add_option("--public", command.public_key, "of an identity that was made elsewhere: one line of text")
        ->type_name("TEXT");
    if (!site) {
        app.add_option("--may", command.may,
                       "of submit, abort, delete; none: only look (submit). Their own jobs all may end")
            ->type_name("A,B");
    }
    app.add_flag("--replace", command.replace, "another identity for a name that is known already");
    app.get_formatter()->column_width(32);
    refuse_empty_values(app);
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
        return PrintCommand{app.help()};
    } catch (const CLI::ParseError& error) {
        refuse(error, app, command_name, {});
    }
    if (names.size() > 1) throw UsageError{"one name at a time; '" + names[1] + "' is not expected"};
    if (names.empty() && command.public_key.empty()) throw UsageError{"no name; give one: " + command_name + " NAME"};
    if (!names.empty()) {
        if (const auto error = job::name_error(names.front()); !error.empty()) {
            throw UsageError{"the name '" + names.front() + "': " + error};
        }
        command.name = names.front();
    }
    if (!command.public_key.empty() && !command.out.empty()) {
        throw UsageError{"--out: there is no identity to write when its --public line is given"};
    }
    return command;
}

Command parse_user_command(const std::vector<std::string>& arguments) {
    if (!arguments.empty() && arguments.front() == "enroll") {
        return parse_enroll_command(false, {arguments.begin() + 1, arguments.end()});
    }
    if (arguments.empty() || arguments.front() == "--help" || arguments.front() == "-h") {
        return PrintCommand{
            "Users of a controller.\n\n  rankexec user enroll NAME   make a user known to it, and write the user's "
            "identity\n"};
    }
    throw UsageError{"'" + arguments.front() + "' is no command of rankexec user" +
                     suggestion(arguments.front(), {"enroll"})};
}

}  // namespace rankexec::cli
