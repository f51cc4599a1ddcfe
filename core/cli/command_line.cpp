// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/command_line.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <CLI/CLI.hpp>

#include "rankexec/core/cli/agent_command_line.hpp"
#include "rankexec/core/cli/bench_command_line.hpp"
#include "rankexec/core/cli/jobs/job_command_line.hpp"
#include "rankexec/core/cli/jobs/service_command_line.hpp"
#include "rankexec/core/cli/option_names.hpp"
#include "rankexec/core/cli/usage.hpp"
#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec::cli {
namespace {

using std::chrono::milliseconds;

/// What CLI11 fills in, before it is checked.
struct Words {
    std::string ranks, launcher, command_template, hosts, stdin_mode, containment, transport, grace, timeout, gpus,
        port, save, heartbeat;
    std::vector<std::string> launcher_args, exports, job;
    std::string master_address, advertise_address, log_directory;
    bool label = false, tee = false, dry_run = false, json = false;
};

std::string exported_variable(const std::string& word) {
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    if (name.empty()) throw UsageError{"-x: '" + word + "' names no variable"};
    const auto reserved = why_reserved(name, "--master-addr", "--master-port");
    if (!reserved.empty()) throw UsageError{"-x: " + reserved};
    if (equals != std::string::npos) return word;
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) throw UsageError{"-x: the variable " + name + " is not set; give it as " + name + "=value"};
    return name + "=" + value;
}

wire::StdinMode stdin_mode(const std::string& word) {
    if (word == "0") return wire::StdinMode::rank_zero;
    if (word == "none") return wire::StdinMode::none;
    if (word == "all") return wire::StdinMode::all;
    throw UsageError{"--stdin: '" + word + "' is none of 0, none, all"};
}

wire::Containment containment(const std::string& word) {
    const auto found = containment_named(word);
    if (!found) throw UsageError{"--contain: '" + word + "' is none of auto, pidns"};
    return *found;
}

/// Options that `run` and `launch` share.
void add_common(CLI::App& command, Words& words) {
    command.add_option("-n,--ranks", words.ranks, "number of ranks")->type_name("N");
    command
        .add_option("--launcher", words.launcher,
                    "what starts the ranks: local (default), mpirun, hydra, torchrun, srun, command")
        ->type_name("NAME");
    add_repeated(command, "--launcher-arg", words.launcher_args, "argument for the launcher's command; may be repeated",
                 "ARG");
    command.add_option("--command-template", words.command_template, "for --launcher command: the command to run")
        ->type_name("TEXT");
    command.add_option("--hosts", words.hosts, "hosts to place ranks on, with commas")->type_name("A,B");
    command
        .add_option("--contain", words.containment,
                    "auto (default); pidns: all in a PID namespace, so that nothing can outlive the group")
        ->type_name("HOW");
    command.add_flag("--json", words.json, "end standard error with the result as one line of JSON");
    command.add_flag("--dry-run", words.dry_run, "show what would be started, and start nothing");
}

CLI::App* add_launch(CLI::App& app, Words& words) {
    auto* launch = app.add_subcommand("launch", "Run a program on every rank: rankexec launch -n 4 -- program args");
    launch->prefix_command();
    add_common(*launch, words);
    add_repeated(*launch, "-x", words.exports, "set a variable for the ranks, or pass ours on; may be repeated",
                 "NAME[=VALUE]");
    launch->add_flag("--label", words.label, "begin each line of output with its rank");
    launch->add_option("--log-dir", words.log_directory, "write each rank's output to files there instead of here")
        ->type_name("DIR");
    launch->add_flag("--tee", words.tee, "with --log-dir: show the output here as well");
    launch->add_option("--stdin", words.stdin_mode, "who reads our standard input: 0 (default), none or all")
        ->type_name("WHO");
    launch->add_option("--gpus-per-rank", words.gpus, "set CUDA_VISIBLE_DEVICES to that many GPUs for each rank")
        ->type_name("K");
    launch->add_option("--master-addr", words.master_address, "MASTER_ADDR of the ranks")->type_name("ADDRESS");
    launch->add_option("--master-port", words.port, "MASTER_PORT of the ranks")->type_name("PORT");
    launch->add_option("--advertise-address", words.advertise_address, "where ranks on other hosts reach this process")
        ->type_name("ADDRESS");
    launch
        ->add_option("--heartbeat-timeout", words.heartbeat,
                     "seconds of silence after which a rank's host counts as lost; 0: never (4)")
        ->type_name("S");
    launch->add_option("--grace", words.grace, "seconds between asking the ranks to end and ending them (5)")
        ->type_name("S");
    launch->add_option("--timeout", words.timeout, "seconds after which the group is ended")->type_name("S");
    refuse_empty_values(*launch);
    return launch;
}

CLI::App* add_run(CLI::App& app, Words& words) {
    auto* run = app.add_subcommand("run", "Run a job: rankexec run JOB.toml");
    add_common(*run, words);
    run->add_option("--transport", words.transport,
                    "auto (default): shared memory for ranks on this host; zeromq: for none")
        ->type_name("HOW");
    run->add_option("--save", words.save, "file for the model, instead of the job's")->type_name("FILE");
    run->add_option("job", words.job, "the job file")->type_name("JOB.toml")->expected(0, -1);
    refuse_empty_values(*run);
    return run;
}

std::vector<std::string> option_names(const CLI::App& command) {
    std::vector<std::string> names;
    for (const auto* option : command.get_options()) {
        for (const auto& name : option->get_lnames()) names.push_back("--" + name);
        for (const auto& name : option->get_snames()) names.push_back("-" + name);
    }
    return names;
}

[[noreturn]] void refuse_extra(const CLI::App& command, const std::string& word) {
    const auto name = word.substr(0, word.find('='));
    const bool option = !word.empty() && word.front() == '-';
    throw UsageError{"'" + word + "' is " + (option ? "no option" : "not expected") + " of rankexec " +
                     command.get_name() + (option ? suggestion(name, option_names(command)) : "")};
}

void fill_group(const Words& words, const std::vector<std::string>& launchers, GroupOptions& group) {
    if (!words.ranks.empty()) group.world_size = rank_count(words.ranks);
    if (!words.launcher.empty()) group.launcher = known_launcher(words.launcher, launchers);
    group.launcher_args = words.launcher_args;
    group.command_template = words.command_template;
    group.hosts = split_commas(words.hosts);
    for (const auto& word : words.exports) group.environment.push_back(exported_variable(word));
    group.master_address = words.master_address;
    group.advertise_address = words.advertise_address;
    group.log_directory = words.log_directory;
    if (!words.port.empty()) group.master_port = whole_number("--master-port", words.port, 65535);
    if (!words.gpus.empty()) group.gpus_per_rank = whole_number("--gpus-per-rank", words.gpus, 1024);
    if (!words.heartbeat.empty()) group.heartbeat_timeout = seconds("--heartbeat-timeout", words.heartbeat);
    if (!words.grace.empty()) group.grace = seconds("--grace", words.grace);
    group.stdin_mode = words.stdin_mode.empty() ? wire::StdinMode::rank_zero : stdin_mode(words.stdin_mode);
    if (!words.containment.empty()) group.containment = containment(words.containment);
    group.forward_output = words.log_directory.empty() || words.tee;
}

LaunchCommand launch_command(const Words& words, const CLI::App& app, const std::vector<std::string>& launchers,
                             const std::optional<std::vector<std::string>>& program) {
    const auto extra = app.remaining();
    if (!extra.empty() && (program || extra.front().substr(0, 1) == "-")) refuse_extra(app, extra.front());
    LaunchCommand command;
    command.group.program = program ? *program : extra;
    if (command.group.program.empty()) {
        throw UsageError{"no program to run; give it last: rankexec launch -n 4 -- program args"};
    }
    if (words.tee && words.log_directory.empty())
        throw UsageError{"--tee: also give --log-dir, the folder of the files"};
    fill_group(words, launchers, command.group);
    if (command.group.launcher == "command" && words.command_template.empty()) {
        throw UsageError{
            "--launcher command: also give --command-template, for example 'mylaunch -np {n} {rank_program}'"};
    }
    if (command.group.launcher != "command" && !words.command_template.empty()) {
        throw UsageError{"--command-template: is for --launcher command; give that too, or leave the template out"};
    }
    command.label = words.label;
    command.dry_run = words.dry_run;
    command.json = words.json;
    if (!words.timeout.empty()) command.timeout = seconds("--timeout", words.timeout);
    if (command.timeout == milliseconds(0)) {
        throw UsageError{"--timeout: must be above 0; leave it out for no time-out"};
    }
    return command;
}

template <typename Target>
void set_if_given(std::optional<Target>& target, const std::string& word) {
    if (!word.empty()) target = word;
}

RunCommand run_command(const Words& words, const std::vector<std::string>& launchers) {
    if (words.job.empty()) throw UsageError{"no job file; give one: rankexec run JOB.toml"};
    if (words.job.size() > 1) throw UsageError{"one job file at a time; '" + words.job[1] + "' is not expected"};
    RunCommand command;
    command.job_file = words.job.front();
    if (!words.ranks.empty()) command.ranks = rank_count(words.ranks);
    if (!words.launcher.empty()) command.launcher = known_launcher(words.launcher, launchers);
    command.launcher_args = words.launcher_args;
    set_if_given(command.command_template, words.command_template);
    set_if_given(command.save_file, words.save);
    command.hosts = split_commas(words.hosts);
    if (!words.containment.empty()) command.containment = containment(words.containment);
    if (!words.transport.empty()) command.transport = transport_word("--transport", words.transport);
    command.dry_run = words.dry_run;
    command.json = words.json;
    return command;
}

/// What CLI11 found wrong, in our words where it does not say enough.
std::string reworded(const CLI::ParseError& error, const CLI::App& app, const std::vector<std::string>& arguments) {
    std::string said = error.what();
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ArgumentMismatch)) {
        return said.substr(0, said.find(':')) + ": its value is missing";
    }
    if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError) || arguments.empty()) return said;
    std::vector<std::string> names{"help"};
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(command->get_name());
    }
    const auto& word = arguments.front();
    // What follows "--" is left over even where the command's own options are right.
    if (std::ranges::count(names, word) > 0) {
        return word + " does not take" + said.substr(std::min(said.find(": ") + 1, said.size())) +
               (word == "run" ? "; for a program: rankexec launch" : "");
    }
    return "'" + word + "' is no command" + suggestion(word, names);
}

Command parse(std::vector<std::string> arguments, const std::vector<std::string>& launchers) {
    CLI::App app("Runs a program or a job on a group of rank processes.", "rankexec");
    app.set_version_flag("--version", "rankexec " RANKEXEC_VERSION);
    Words words;
    auto* launch = add_launch(app, words);
    auto* run = add_run(app, words);
    BenchWords bench_words;
    auto* bench = add_bench(app, bench_words);
    app.add_subcommand("agent", "For programs that work for an executor, in any language: rankexec agent --help");
    app.add_subcommand("job", "Runs jobs on sites: rankexec job --help");
    app.add_subcommand("user", "Users of a controller: rankexec user --help");
    app.add_subcommand("serve", "Runs a controller, which takes jobs from users");
    app.add_subcommand("site", "Runs a site, which takes its parts of jobs from a controller");
    app.get_formatter()->column_width(32);

    if (arguments.empty() || arguments == std::vector<std::string>{"help"}) return PrintCommand{app.help()};
    if (arguments.front() == "help") {
        arguments.erase(arguments.begin());
        arguments.emplace_back("--help");
    }
    const auto after = [&](std::ptrdiff_t words) {
        return std::vector<std::string>(arguments.begin() + words, arguments.end());
    };
    if (arguments.size() > 1 && arguments[0] == "site" && arguments[1] == "enroll") {
        return parse_enroll_command(true, after(2));
    }
    if (arguments.front() == "user") return parse_user_command(after(1));
    if (arguments.front() == "serve") return parse_serve_command(after(1));
    if (arguments.front() == "site") return parse_site_command(after(1));
    if (arguments.size() > 1 && arguments[0] == "job" && arguments[1] == "run") return parse_job_run_command(after(2));
    // The word after it is for people who look at a list of processes.
    if (arguments.front() == "job-part") return JobPartCommand{};
    if (arguments.front() == "job") return parse_job_command(after(1));
    if (arguments.front() == "agent") return parse_agent_command({arguments.begin() + 1, arguments.end()});
    std::optional<std::vector<std::string>> program;
    if (arguments.front() == "launch") {
        const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
        if (dashes != arguments.end()) {
            program.emplace(dashes + 1, arguments.end());
            arguments.erase(dashes, arguments.end());
        }
    }
    try {
        // CLI11 takes its words from the back.
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
        return PrintCommand{(launch->parsed() ? launch : run->parsed() ? run : bench->parsed() ? bench : &app)->help()};
    } catch (const CLI::CallForVersion& version) {
        return PrintCommand{std::string(version.what()) + "\n"};
    } catch (const CLI::ParseError& error) {
        for (const auto* command : {run, bench}) {
            if (command->parsed() && !command->remaining().empty())
                refuse_extra(*command, command->remaining().front());
        }
        throw UsageError{reworded(error, app, arguments)};
    }
    if (launch->parsed()) return launch_command(words, *launch, launchers, program);
    if (run->parsed()) return run_command(words, launchers);
    if (bench->parsed()) return bench_command(bench_words, launchers);
    return PrintCommand{app.help()};
}

}  // namespace

tl::expected<Command, std::string> parse_command_line(const std::vector<std::string>& arguments,
                                                      const std::vector<std::string>& launchers) {
    try {
        return parse(arguments, launchers);
    } catch (const UsageError& error) {
        return tl::unexpected(error.message);
    }
}

}  // namespace rankexec::cli
