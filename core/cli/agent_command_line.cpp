// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/agent_command_line.hpp"

#include <algorithm>
#include <utility>

#include <CLI/CLI.hpp>

#include "rankexec/core/cli/usage.hpp"
#include "rankexec/worker/agent/shell/json_value.hpp"

namespace rankexec::cli {
namespace {

/// What CLI11 fills in, before it is checked.
struct AgentWords {
    std::string end_timeout, grace, into, timeout, type;
    std::string attach, key_file, listen, connection_timeout;
    std::vector<std::string> folder, figures;
};

/// The subcommands.
struct AgentApps {
    CLI::App* run;
    CLI::App* get_task;
    CLI::App* submit;
    CLI::App* log;
    [[nodiscard]] std::vector<CLI::App*> all() const { return {run, get_task, submit, log}; }
};

AgentApps add_commands(CLI::App& app, AgentWords& words) {
    AgentApps apps{};
    apps.run = app.add_subcommand("run", "Hold the agent while a program runs: rankexec agent run -- program args");
    apps.run->prefix_command();
    apps.run
        ->add_option("--end-timeout", words.end_timeout,
                     "seconds that the program has to end by itself when there will be no more tasks (10)")
        ->type_name("S");
    apps.run->add_option("--grace", words.grace, "seconds between asking it to end and ending it by force (5)")
        ->type_name("S");
    apps.run
        ->add_option("--attach", words.attach,
                     "be there for the ipc executors of that site and agent id, instead of for who launched this")
        ->type_name("SITE/ID");
    apps.run->add_option("--key-file", words.key_file, "with --attach: the secret that both sides share")
        ->type_name("FILE");
    apps.run->add_option("--listen", words.listen, "with --attach: where executors on other hosts connect to")
        ->type_name("HOST:PORT");
    apps.run
        ->add_option("--connection-timeout", words.connection_timeout,
                     "with --attach: seconds for the first executor to come (60); 0: any")
        ->type_name("S");
    apps.get_task = app.add_subcommand("get-task", "Wait for a task and write it into a folder");
    apps.get_task->add_option("--into", words.into, "new folder, or that of an earlier task")->type_name("DIR");
    apps.get_task->add_option("--timeout", words.timeout, "seconds to wait; without it as long as there may be tasks")
        ->type_name("S");
    apps.submit = app.add_subcommand("submit-result", "Submit the result in a folder: result.json, .npy files");
    apps.submit->add_option("folder", words.folder, "the folder")->type_name("DIR")->expected(0, -1);
    apps.log = app.add_subcommand("log", "Fire an event with figures: rankexec agent log loss=0.5 epoch=3");
    apps.log->add_option("--type", words.type, "type of the event (metric)")->type_name("TYPE");
    apps.log->add_option("figures", words.figures, "figures by name")->type_name("KEY=VALUE")->expected(0, -1);
    for (auto* command : apps.all()) refuse_empty_values(*command);
    app.get_formatter()->column_width(32);
    return apps;
}

std::vector<std::string> names_of(const AgentApps& apps) {
    std::vector<std::string> names;
    for (const auto* command : apps.all()) names.push_back(command->get_name());
    return names;
}

std::optional<agent::AttachOptions> attach_options(const AgentWords& words) {
    if (words.attach.empty()) {
        if (words.key_file.empty() && words.listen.empty() && words.connection_timeout.empty()) return std::nullopt;
        throw UsageError{
            "--key-file, --listen, --connection-timeout: are for an agent that executors attach to; also give "
            "--attach SITE/ID"};
    }
    const auto slash = words.attach.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == words.attach.size()) {
        throw UsageError{"--attach: '" + words.attach + "' is not SITE/ID, as in local/trainer"};
    }
    agent::AttachOptions options;
    options.site = words.attach.substr(0, slash);
    options.id = words.attach.substr(slash + 1);
    options.key_file = words.key_file;
    options.listen = words.listen;
    if (!words.connection_timeout.empty()) {
        options.connection_timeout = seconds("--connection-timeout", words.connection_timeout);
    }
    return options;
}

AgentRunCommand run_command(const AgentWords& words, std::vector<std::string> program) {
    if (program.empty()) throw UsageError{"no program to run; give it last: rankexec agent run -- program args"};
    AgentRunCommand command;
    command.program = std::move(program);
    command.attach = attach_options(words);
    if (!words.end_timeout.empty()) command.end_timeout = seconds("--end-timeout", words.end_timeout);
    if (!words.grace.empty()) command.grace = seconds("--grace", words.grace);
    return command;
}

AgentGetTaskCommand get_task_command(const AgentWords& words) {
    if (words.into.empty()) throw UsageError{"no folder for the task; give one: rankexec agent get-task --into DIR"};
    AgentGetTaskCommand command;
    command.folder = words.into;
    if (!words.timeout.empty()) command.timeout = seconds("--timeout", words.timeout);
    if (command.timeout && command.timeout->count() == 0) {
        throw UsageError{"--timeout: must be above 0; leave it out to wait as long as there may be tasks"};
    }
    return command;
}

AgentSubmitCommand submit_command(const AgentWords& words) {
    if (words.folder.size() == 1) return {words.folder.front()};
    if (words.folder.empty()) throw UsageError{"no folder with a result; give one: rankexec agent submit-result DIR"};
    throw UsageError{"one result at a time; '" + words.folder[1] + "' is not expected"};
}

AgentLogCommand log_command(const AgentWords& words) {
    if (words.figures.empty()) throw UsageError{"no figures; give some: rankexec agent log loss=0.5 epoch=3"};
    AgentLogCommand command;
    if (!words.type.empty()) command.type = words.type;
    for (const auto& word : words.figures) {
        auto [name, value] = parse_figure(word);
        if (command.figures.contains(name)) throw UsageError{"the figure " + name + " is there twice"};
        command.figures.insert_or_assign(std::move(name), std::move(value));
    }
    return command;
}

}  // namespace

std::pair<std::string, Value> parse_figure(const std::string& word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
        throw UsageError{"'" + word + "' is no figure; write NAME=VALUE, as in loss=0.5"};
    }
    auto text = word.substr(equals + 1);
    const auto parsed = agent::parse_json(text);
    const bool figure =
        parsed && (parsed->if_boolean() != nullptr || parsed->if_integer() != nullptr || parsed->if_real() != nullptr);
    return {word.substr(0, equals), figure ? *parsed : Value(std::move(text))};
}

Command parse_agent_command(std::vector<std::string> arguments) {
    CLI::App app("Lets a program in any language work for an executor.", "rankexec agent");
    AgentWords words;
    const auto apps = add_commands(app, words);
    if (arguments.empty()) return PrintCommand{app.help()};
    std::vector<std::string> program;
    bool dashes_given = false;
    if (arguments.front() == "run") {
        const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
        dashes_given = dashes != arguments.end();
        if (dashes_given) {
            program.assign(dashes + 1, arguments.end());
            arguments.erase(dashes, arguments.end());
        }
    }
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
        for (auto* command : apps.all()) {
            if (command->parsed()) return PrintCommand{command->help()};
        }
        return PrintCommand{app.help()};
    } catch (const CLI::ParseError& error) {
        const std::string said = error.what();
        if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch)) {
            throw UsageError{said.substr(0, said.find(':')) + ": its value is missing"};
        }
        if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError)) throw UsageError{said};
        for (const auto* command : apps.all()) {
            if (command->parsed() && !command->remaining().empty()) {
                throw UsageError{"'" + command->remaining().front() + "' is not expected by rankexec agent " +
                                 command->get_name()};
            }
        }
        throw UsageError{"'" + arguments.front() + "' is no command of rankexec agent" +
                         suggestion(arguments.front(), names_of(apps))};
    }
    if (apps.run->parsed()) {
        const auto extra = apps.run->remaining();
        if (!extra.empty() && (dashes_given || extra.front().starts_with('-'))) {
            throw UsageError{"'" + extra.front() + "' is no option of rankexec agent run"};
        }
        return run_command(words, dashes_given ? std::move(program) : extra);
    }
    if (apps.get_task->parsed()) return get_task_command(words);
    if (apps.submit->parsed()) return submit_command(words);
    if (apps.log->parsed()) return log_command(words);
    return PrintCommand{app.help()};
}

}  // namespace rankexec::cli
