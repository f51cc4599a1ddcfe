// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <system_error>
#include <utility>

#include "rankexec/core/bench/components.hpp"
#include "rankexec/core/bench/html_report.hpp"
#include "rankexec/core/bench/plot.hpp"
#include "rankexec/core/bench/record_json.hpp"
#include "rankexec/core/cli/bench_report.hpp"
#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/interrupt_watch.hpp"
#include "rankexec/core/cli/program_search.hpp"
#include "rankexec/core/cli/resolve_job.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;
constexpr const char* kExecutorId = "bench";

/// Thrown for what ends the command before anything starts; leaves this file as its result.
struct Refusal {
    int exit_code = kExitUsage;
    std::string message;
};

[[noreturn]] void refuse_file(const std::string& file, const std::string& why) {
    throw Refusal{kExitUsage, file + ": " + why};
}

/// What errno says, or else what is given.
std::string error_text(const char* otherwise) {
    return errno != 0 ? std::generic_category().message(errno) : otherwise;
}

bench::Record read_record(const std::string& file) {
    errno = 0;
    std::ifstream stream(file, std::ios::binary);
    std::ostringstream text;
    if (stream) text << stream.rdbuf();
    if (!stream || !text) refuse_file(file, error_text("cannot be read"));
    auto record = bench::parse_record(text.str());
    if (!record) refuse_file(file, record.error());
    return std::move(*record);
}

/// Starts nothing before everything that can be checked was.
void check_output(const std::string& file) {
    if (file.empty() || file == "-") return;
    std::error_code error;
    const auto folder = fs::absolute(file, error).parent_path();
    if (fs::is_directory(file, error)) refuse_file(file, "is a directory");
    if (::access(folder.c_str(), W_OK | X_OK) != 0) refuse_file(file, error_text("cannot be written"));
}

void make_folder(const std::string& folder) {
    if (folder.empty()) return;
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) refuse_file(folder, error.message());
}

std::string found_program(tl::expected<fs::path, ProgramError> found) {
    if (!found) throw Refusal{found.error().exit_code, found.error().message};
    return found->string();
}

/// The worker of `rankexec bench` itself lies beside the command.
std::string bench_worker() {
    const auto folder = program_folder();
    return found_program(search_job_file("rankexec-bench-worker", {folder, {}, true, true}));
}

/// Worker and components: the benchmark's own, those of the command line, or those of a job.
void choose_worker(const BenchCommand& command, MultiProcessOptions& group) {
    if (!command.job_file.empty()) {
        auto job = read_job(command.job_file, launcher_names());
        if (job.kind != ExecutorKind::multi_process) {
            throw ConfigurationError(ConfigurationError::Kind::option,
                                     "--job: " + command.job_file +
                                         " has no ranks of ours; only jobs with executor = "
                                         "\"multi_process\" can be measured");
        }
        auto resolved = resolve_job(job);
        if (!resolved) throw Refusal{resolved.error().exit_code, resolved.error().message};
        const auto words = group.group;
        group = std::move(job.executor);
        group.group.launcher_args = words.launcher_args;
        group.group.command_template = words.command_template;
        group.group.hosts = words.hosts;
        return;
    }
    auto& program = group.group.program;
    if (program.empty()) {
        program = {bench_worker()};
    } else {
        program.front() = found_program(search_program(program.front()));
    }
    const auto type = command.component_type.empty() ? bench::kExecutorType : command.component_type;
    group.components = {{kExecutorId, type, {}}};
    group.executor_id = kExecutorId;
}

InterruptWatch::Hooks interrupt_hooks(const Signal& abort) {
    InterruptWatch::Hooks hooks;
    hooks.on_first = [abort](int signal) {
        std::cerr << std::string("rankexec: ") + sigdescr_np(signal) +
                         ": ending the benchmark; once more to end it by force\n"
                  << std::flush;
        abort.trigger(sigdescr_np(signal));
    };
    // The guardian ends the group when this process is gone.
    hooks.on_second = [](int signal) { ::_exit(exit_code_of_signal(signal)); };
    hooks.on_suspend = [] {
        std::cerr << "rankexec: a benchmark cannot be suspended: its ranks would take this process for gone\n"
                  << std::flush;
    };
    return hooks;
}

/// What is being measured, on one line of a terminal that the next one replaces.
void show_progress(bench::BenchOptions& options) {
    if (::isatty(STDERR_FILENO) != 1) return;
    const auto total = options.cases.size();
    options.on_case = [total, number = std::size_t{0}](const bench::Case& where) mutable {
        std::cerr << "\r\x1b[K" + std::to_string(++number) + "/" + std::to_string(total) + "  " + describe(where)
                  << std::flush;
    };
    options.on_measurement = [](const bench::Measurement&) { std::cerr << "\r\x1b[K" << std::flush; };
}

CommandResult measure(BenchCommand& command, bench::Record& record) {
    choose_worker(command, command.options.group);
    for (const auto& where : command.options.cases) {
        auto group = command.options.group.group;
        group.world_size = where.ranks;
        group.launcher = where.launcher;
        if (group.launcher == "local") group.hosts.clear();
        if (!fits_this_machine(group)) return {kExitUsage, {}};
        check_group_options(group);
    }
    InterruptWatch::block();
    ::signal(SIGPIPE, SIG_IGN);
    const InterruptWatch interrupts(interrupt_hooks(command.options.abort));
    show_progress(command.options);
    auto outcome = bench::run_bench(command.options);
    record.measurements = std::move(outcome.measurements);
    if (interrupts.first_signal() != 0) return {exit_code_of_signal(interrupts.first_signal()), outcome.failure};
    if (!outcome.failure) return {};
    return {exit_code_of(*outcome.failure), outcome.failure};
}

int write_file(const fs::path& file, const std::string& text) {
    errno = 0;
    std::ofstream stream(file, std::ios::binary | std::ios::trunc);
    stream << text << std::flush;
    if (stream) return kExitSuccess;
    complain(file.string() + ": " + error_text("cannot be written"));
    return kExitFailure;
}

/// The first code that is not 0.
int report(const BenchCommand& command, const bench::Record& record, const std::string& differences) {
    int code = kExitSuccess;
    const auto note = [&](int next) { code = code == kExitSuccess ? next : code; };
    if (command.json_file == "-") {
        note(print_text(bench::to_json(record)));
    } else {
        note(print_text(format_measurements(record.measurements) + (differences.empty() ? "" : "\n" + differences)));
        if (!command.json_file.empty()) note(write_file(command.json_file, bench::to_json(record)));
    }
    if (!command.html_file.empty()) note(write_file(command.html_file, bench::to_html(record)));
    if (!command.svg_folder.empty()) {
        for (const auto& plot : bench::plots_of(record)) {
            note(write_file(fs::path(command.svg_folder) / (plot.name + ".svg"), bench::to_svg(plot)));
        }
    }
    return code;
}

CommandResult run(BenchCommand& command) {
    for (const auto& file : {command.json_file, command.html_file}) check_output(file);
    bench::Record earlier;
    if (!command.compare_file.empty()) earlier = read_record(command.compare_file);
    auto record = command.from_file.empty() ? bench::new_record() : read_record(command.from_file);
    make_folder(command.svg_folder);
    CommandResult result;
    if (command.from_file.empty()) result = measure(command, record);
    if (record.measurements.empty() && result.exit_code != kExitSuccess) return result;
    std::string differences;
    if (!command.compare_file.empty()) differences = format_differences(bench::compare(record, earlier));
    const int written = report(command, record, differences);
    if (result.exit_code == kExitSuccess) result.exit_code = written;
    if (result.failure) complain(result.failure->describe());
    return result;
}

}  // namespace

CommandResult benchmark(BenchCommand command) {
    try {
        return run(command);
    } catch (const Refusal& refusal) {
        complain(refusal.message);
        return {refusal.exit_code, {}};
    }
}

}  // namespace rankexec::cli
