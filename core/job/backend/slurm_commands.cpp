// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/slurm_commands.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "rankexec/core/launch/foreign_environment.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/system/run_command.hpp"

namespace rankexec::job {
namespace {

using Phase = SlurmJob::Phase;

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> pieces;
    while (true) {
        const auto end = text.find(separator);
        pieces.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return pieces;
        text.remove_prefix(end + 1);
    }
}

bool is_job_id(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<int> number(std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// "code:signal"
std::optional<ExitStatus> exit_from(std::string_view text) {
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto code = number(text.substr(0, colon));
    const auto signal = number(text.substr(colon + 1));
    if (!code || !signal) return std::nullopt;
    return *signal != 0 ? ExitStatus{true, *signal} : ExitStatus{false, *code};
}

/// Ours, without what tells a rank that it is one: this site may itself run inside a launch.
std::vector<std::string> own_environment() {
    std::vector<std::string> environment;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) environment.emplace_back(*entry);
    return without_foreign_ranks(environment);
}

std::string user() { return std::to_string(::getuid()); }

/// sbatch puts job ids and the like in the place of %j in the name of the log.
std::string literal(const std::string& path) {
    std::string text;
    for (const char c : path) text += c == '%' ? "%%" : std::string(1, c);
    return text;
}

}  // namespace

Phase slurm_phase(std::string_view state) {
    struct Known {
        std::string_view state;
        Phase phase;
    };
    constexpr std::array kEnded{
        Known{"COMPLETED", Phase::completed},
        Known{"FAILED", Phase::failed},
        Known{"CANCELLED", Phase::cancelled},
        Known{"TIMEOUT", Phase::ended_by_slurm},
        Known{"NODE_FAIL", Phase::ended_by_slurm},
        Known{"PREEMPTED", Phase::ended_by_slurm},
        Known{"OUT_OF_MEMORY", Phase::ended_by_slurm},
        Known{"DEADLINE", Phase::ended_by_slurm},
        Known{"REVOKED", Phase::cancelled},
        Known{"BOOT_FAIL", Phase::never_started},
        Known{"LAUNCH_FAILED", Phase::never_started},
    };
    // Accounting says by whom: "CANCELLED by 1000".
    const auto word = state.substr(0, state.find_first_of(" +"));
    const auto* found = std::ranges::find(kEnded, word, &Known::state);
    return found == kEnded.end() ? Phase::alive : found->phase;
}

std::vector<SlurmJob> jobs_from_squeue(std::string_view output) {
    std::vector<SlurmJob> jobs;
    for (const auto& line : split(output, '\n')) {
        const auto fields = split(line, '|');
        if (fields.size() != 3 || !is_job_id(fields[0])) continue;
        jobs.push_back({fields[0], fields[1], fields[2], slurm_phase(fields[2]), {}});
    }
    return jobs;
}

std::vector<SlurmJob> jobs_from_sacct(std::string_view output) {
    std::vector<SlurmJob> jobs;
    for (const auto& line : split(output, '\n')) {
        const auto fields = split(line, '|');
        if (fields.size() != 4 || !is_job_id(fields[0])) continue;
        jobs.push_back({fields[0], fields[1], fields[2], slurm_phase(fields[2]), exit_from(fields[3])});
    }
    return jobs;
}

tl::expected<std::string, Failure> SlurmCommands::run(std::vector<std::string> argv, std::string input) const {
    const auto name = argv.front();
    if (!directory_.empty()) argv.front() = directory_ + "/" + name;
    Command command;
    command.argv = std::move(argv);
    command.environment = own_environment();
    command.input = std::move(input);
    command.timeout = timeout_;
    auto result = run_command(command);
    if (!result) return tl::unexpected(std::move(result.error()));
    if (result->exit.success()) return std::move(result->output);
    constexpr std::size_t kLongest = 500;
    Failure failure;
    failure.code = ReturnCode::execution_exception;
    failure.message = name + " ended with " + to_string(result->exit);
    if (!result->errors.empty()) {
        failure.message +=
            ": " + printable(result->errors.substr(0, result->errors.find_last_not_of('\n') + 1), kLongest);
    }
    return tl::unexpected(std::move(failure));
}

tl::expected<std::string, Failure> SlurmCommands::submit(const Submission& submission) const {
    std::vector<std::string> argv{"sbatch",
                                  "--parsable",
                                  "--no-requeue",
                                  "--export=ALL",
                                  "--open-mode=append",
                                  "--job-name=" + submission.name,
                                  "--comment=" + submission.comment,
                                  "--chdir=" + submission.directory,
                                  "--output=" + literal(submission.log)};
    argv.insert(argv.end(), submission.arguments.begin(), submission.arguments.end());
    auto output = run(std::move(argv), submission.script);
    if (!output) return output;
    // "id" or "id;cluster"
    const auto id = output->substr(0, output->find_first_of(";\n"));
    if (is_job_id(id)) return id;
    Failure failure;
    failure.code = ReturnCode::execution_exception;
    failure.message = "sbatch has named no job: " + printable(*output, 200);
    return tl::unexpected(std::move(failure));
}

tl::expected<std::vector<SlurmJob>, Failure> SlurmCommands::queued(const std::vector<std::string>& names) const {
    std::string list;
    for (const auto& name : names) list += (list.empty() ? "" : ",") + name;
    return run({"squeue", "--noheader", "--states=all", "--user=" + user(), "--name=" + list, "--format=%A|%j|%T"})
        .map([](const std::string& output) { return jobs_from_squeue(output); });
}

tl::expected<std::vector<SlurmJob>, Failure> SlurmCommands::accounted(const std::string& name) const {
    return run({"sacct", "--noheader", "--parsable2", "--allocations", "--starttime=now-30days", "--user=" + user(),
                "--name=" + name, "--format=JobIDRaw,JobName,State,ExitCode"})
        .map([](const std::string& output) { return jobs_from_sacct(output); });
}

tl::expected<void, Failure> SlurmCommands::cancel(const std::string& name) const {
    return run({"scancel", "--quiet", "--user=" + user(), "--name=" + name}).map([](const std::string&) {});
}

}  // namespace rankexec::job
