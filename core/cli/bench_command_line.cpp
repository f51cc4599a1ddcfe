// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/bench_command_line.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "rankexec/core/bench/size_list.hpp"
#include "rankexec/core/cli/usage.hpp"

namespace rankexec::cli {
namespace {

using bench::Case;
using bench::Scenario;

/// The words of a list with commas, each read by `read`; what is not given is `otherwise`.
template <typename T, typename Read>
std::vector<T> list(const std::string& option, const std::string& words, std::vector<T> otherwise, Read read) {
    if (words.empty()) return otherwise;
    std::vector<T> values;
    for (const auto& word : split_commas(words)) values.push_back(read(word));
    if (values.empty()) throw UsageError{option + ": '" + words + "' has nothing between its commas"};
    return values;
}

Scenario scenario(const std::string& word) {
    if (const auto found = bench::scenario_named(word)) return *found;
    std::vector<std::string> names;
    std::string all;
    for (const auto known : bench::all_scenarios()) {
        names.emplace_back(bench::name_of(known));
        all += (all.empty() ? "" : ", ") + names.back();
    }
    const auto nearest = suggestion(word, names);
    throw UsageError{"--scenario: there is no scenario '" + word + "'" +
                     (nearest.empty() ? "; there are " + all : nearest)};
}

std::uint64_t payload(const std::string& word) {
    const auto size = bench::parse_size(word);
    if (!size) throw UsageError{"--payload: " + size.error()};
    return *size;
}

/// Whether tensors are built in place.
bool placement(const std::string& word) {
    if (word != "ordinary" && word != "in-place") {
        throw UsageError{"--placement: '" + word + "' is none of ordinary, in-place"};
    }
    return word == "in-place";
}

std::vector<Scenario> usual_scenarios(bool own_worker) {
    if (own_worker) return {Scenario::task, Scenario::start, Scenario::stop};
    std::vector<Scenario> all;
    for (const auto known : bench::all_scenarios()) {
        if (known != Scenario::task && known != Scenario::soak) all.push_back(known);
    }
    return all;
}

std::vector<Scenario> scenarios(const BenchWords& words, bool own_worker) {
    auto wanted = list<Scenario>("--scenario", words.scenarios, usual_scenarios(own_worker), scenario);
    for (const auto each : wanted) {
        const std::string name(bench::name_of(each));
        if (own_worker && !bench::suits_any_worker(each)) {
            throw UsageError{"--scenario: '" + name +
                             "' needs the benchmark's own worker; with --worker or --job there are task, start, stop"};
        }
        if (!own_worker && each == Scenario::task) {
            throw UsageError{"--scenario: 'task' is a task of your worker; give --worker or --job, and --task"};
        }
        if (each == Scenario::task && words.task.empty()) {
            throw UsageError{"no task to execute; give its name with --task, or leave it out of --scenario"};
        }
    }
    return wanted;
}

std::vector<Case> cases(const BenchWords& words, const std::vector<std::string>& launchers, bool own_worker) {
    const auto ranks = list<int>("-n", words.ranks, {1, 2, 4, 8}, rank_count);
    const auto own_payloads = own_worker ? std::vector<std::uint64_t>{0} : std::vector<std::uint64_t>{1U << 20U};
    const auto payloads = list<std::uint64_t>("--payload", words.payloads, own_payloads, payload);
    const auto starters = list<std::string>("--launcher", words.launchers, {"local"},
                                            [&](const std::string& word) { return known_launcher(word, launchers); });
    const auto transports = list<std::string>("--transport", words.transports, {"auto"}, [](const std::string& word) {
        (void)transport_word("--transport", word);
        return word;
    });
    const auto silences = list<std::chrono::milliseconds>(
        "--silence", words.silences, {std::chrono::milliseconds(0)},
        [](const std::string& word) { return std::chrono::milliseconds(whole_number("--silence", word, 60'000)); });
    const auto placements = list<bool>("--placement", words.placements, {false}, placement);
    std::vector<Case> all;
    for (const auto each : scenarios(words, own_worker)) {
        const bool small = each == Scenario::round_trip || each == Scenario::all_results || each == Scenario::task;
        for (const auto& launcher : starters) {
            for (const auto& transport : transports) {
                for (const auto silence : small ? silences : std::vector{std::chrono::milliseconds(0)}) {
                    for (const auto bytes : bench::takes_payload(each) ? payloads : std::vector<std::uint64_t>{0}) {
                        if (bytes == 0 && bench::takes_payload(each) && each != Scenario::task) {
                            throw UsageError{"--payload: '0' is for --scenario task; others need some bytes"};
                        }
                        for (const bool in_place : bytes > 0 ? placements : std::vector{false}) {
                            for (const auto count : ranks)
                                all.push_back({each, count, bytes, launcher, transport, silence, in_place});
                        }
                    }
                }
            }
        }
    }
    return all;
}

void check_combinations(const BenchWords& words) {
    if (!words.worker.empty() && !words.job.empty()) {
        throw UsageError{"--worker and --job: both name a worker; give one of them"};
    }
    if (words.worker.empty() && !words.component.empty()) {
        throw UsageError{"--component: is a component of your worker; give --worker"};
    }
    if (words.worker.empty() && !words.worker_args.empty()) throw UsageError{"--worker-arg: give --worker"};
    if (words.worker.empty() && words.job.empty() && (!words.task.empty() || words.all_results)) {
        throw UsageError{"--task, --all-results: are of your worker; give --worker or --job"};
    }
    const auto launchers = split_commas(words.launchers);
    const bool local =
        std::all_of(launchers.begin(), launchers.end(), [](const auto& name) { return name == "local"; });
    if (local && words.job.empty() && !(words.launcher_args.empty() && words.hosts.empty())) {
        throw UsageError{"--launcher-arg, --hosts: are for a launcher other than local; give it with --launcher"};
    }
    const bool command = words.launchers == "command";
    if (command && words.command_template.empty()) throw UsageError{"--launcher command: also give --command-template"};
    if (!command && !words.command_template.empty()) {
        throw UsageError{"--command-template: is for --launcher command, alone; give that, or leave the template out"};
    }
}

}  // namespace

CLI::App* add_bench(CLI::App& app, BenchWords& words) {
    auto* bench = app.add_subcommand("bench", "Measure: rankexec bench; your worker: bench --worker ./mine --task t");
    const auto text = [&](const char* name, std::string& target, const char* help, const char* type) {
        bench->add_option(name, target, help)->type_name(type);
    };
    const auto repeated = [&](const char* name, std::vector<std::string>& target, const char* help) {
        add_repeated(*bench, name, target, help, "ARG");
    };
    text("-n,--ranks", words.ranks, "numbers of ranks (1,2,4,8)", "LIST");
    text("--scenario", words.scenarios, "what to measure (all but soak and task)", "LIST");
    text("--payload", words.payloads, "bytes of tensors: 64, 4KiB, 1MiB (1MiB)", "LIST");
    text("--launcher", words.launchers, "what starts the ranks (local)", "LIST");
    text("--transport", words.transports, "auto, zeromq (auto)", "LIST");
    text("--silence", words.silences, "milliseconds before each small task (0)", "LIST");
    text("--placement", words.placements, "tensors: ordinary, or built in-place in shared memory (ordinary)", "LIST");
    text("--worker", words.worker, "measure your own worker program", "PROGRAM");
    repeated("--worker-arg", words.worker_args, "argument of the worker; may be repeated");
    text("--component", words.component,
         "type of the component that executes; not needed where the worker has one type", "TYPE");
    text("--job", words.job, "take worker and components from a job file", "JOB.toml");
    text("--task", words.task, "task that your worker executes", "NAME");
    bench->add_flag("--all-results", words.all_results, "with --task: want the results of all ranks");
    text("--repetitions", words.repetitions, "samples of each case; by default what suits it", "N");
    text("--warm-up", words.warm_up, "repetitions before them that do not count", "N");
    text("--case-time", words.case_time, "seconds after which a case has samples enough (10)", "S");
    text("--soak-time", words.soak_time, "seconds of a soak (10)", "S");
    repeated("--launcher-arg", words.launcher_args, "argument for the launcher's command; may be repeated");
    text("--command-template", words.command_template, "for --launcher command: the command to run", "TEXT");
    text("--hosts", words.hosts, "hosts to place ranks on, with commas", "A,B");
    text("--json", words.json, "write the figures there as JSON; - for standard output, without the table", "FILE");
    text("--compare", words.compare, "say what differs from that earlier --json by more than the spread", "OLD.json");
    text("--html", words.html, "write a report with plots there", "FILE");
    text("--svg", words.svg, "write each plot there", "DIR");
    text("--from", words.from, "measure nothing: report on that --json", "FILE");
    refuse_empty_values(*bench);
    return bench;
}

BenchCommand bench_command(const BenchWords& words, const std::vector<std::string>& launchers) {
    check_combinations(words);
    BenchCommand command;
    auto& group = command.options.group.group;
    command.job_file = words.job;
    command.from_file = words.from;
    command.json_file = words.json;
    command.html_file = words.html;
    command.svg_folder = words.svg;
    command.compare_file = words.compare;
    if (!words.worker.empty()) {
        group.program = {words.worker};
        group.program.insert(group.program.end(), words.worker_args.begin(), words.worker_args.end());
        command.component_type = words.component.empty() ? kOnlyType : words.component;
    }
    group.launcher_args = words.launcher_args;
    group.command_template = words.command_template;
    group.hosts = split_commas(words.hosts);
    command.options.task = words.task;
    command.options.all_results = words.all_results;
    constexpr int kMany = 100'000'000;
    if (!words.repetitions.empty()) {
        command.options.repetitions = whole_number("--repetitions", words.repetitions, kMany);
        if (command.options.repetitions == 0) throw UsageError{"--repetitions: must be above 0"};
    }
    if (!words.warm_up.empty()) command.options.warm_up = whole_number("--warm-up", words.warm_up, kMany);
    if (!words.case_time.empty()) command.options.case_time = seconds("--case-time", words.case_time);
    if (!words.soak_time.empty()) command.options.soak_time = seconds("--soak-time", words.soak_time);
    if (words.from.empty())
        command.options.cases = cases(words, launchers, !words.worker.empty() || !words.job.empty());
    return command;
}

}  // namespace rankexec::cli
