// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <iostream>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/rank_count.hpp"
#include "rankexec/core/cli/signal_source.hpp"
#include "rankexec/core/cli/terminal.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec::cli {
namespace {

struct Execute {
    CommandResult operator()(const LaunchCommand& command) const { return launch(command); }
    CommandResult operator()(const RunCommand& command) const { return run(command); }
    CommandResult operator()(const BenchCommand& command) const { return benchmark(command); }
    CommandResult operator()(const AgentRunCommand& command) const { return agent_run(command); }
    CommandResult operator()(const AgentGetTaskCommand& command) const { return agent_get_task(command); }
    CommandResult operator()(const AgentSubmitCommand& command) const { return agent_submit_result(command); }
    CommandResult operator()(const AgentLogCommand& command) const { return agent_log(command); }
    CommandResult operator()(const ServeCommand& command) const { return serve(command); }
    CommandResult operator()(const SiteCommand& command) const { return site(command); }
    CommandResult operator()(const JobRunCommand& command) const { return job_run(command); }
    CommandResult operator()(const JobPartCommand& command) const { return job_part(command); }
    CommandResult operator()(const JobCommand& command) const { return job_command(command); }
    CommandResult operator()(const EnrollCommand& command) const { return enroll(command); }
    CommandResult operator()(const PrintCommand& command) const { return {print_text(command.text), {}}; }
};

bool wants_json(const Command& command) {
    return std::visit(
        [](const auto& any) {
            if constexpr (requires { any.json; }) return any.json;
            return false;
        },
        command);
}

/// Threads that watch for signals complain too.
struct KeptComplaint {
    std::mutex mutex;
    std::string text;
};

KeptComplaint& kept_complaint() {
    static KeptComplaint kept;
    return kept;
}

/// The last line of standard error, whatever came before it.
void print_json(CommandResult result) {
    if (result.exit_code != kExitSuccess && !result.failure) {
        result.failure.emplace();
        result.failure->code = ReturnCode::bad_request_data;
        result.failure->message = last_complaint();
    }
    std::cerr << (result.error_line_open ? "\n" : "") + to_json(result) + "\n" << std::flush;
}

CommandResult execute(const Command& command) {
    try {
        return std::visit(Execute{}, command);
    } catch (const ConfigurationError& error) {
        complain(error.what());
        return {exit_code_of(error), {}};
    } catch (const std::system_error& error) {
        complain(std::string("the system refuses what this command needs: ") + error.what() +
                 "; raise the limits of processes, open files or memory (ulimit -u, -n, -v)");
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = last_complaint();
        return {kExitLauncher, std::move(failure)};
    } catch (const std::bad_alloc&) {
        complain("out of memory");
    } catch (const std::exception& error) {
        complain(error.what());
    }
    return {kExitFailure, {}};
}

}  // namespace

void complain(const std::string& message) {
    {
        auto& kept = kept_complaint();
        const std::lock_guard lock(kept.mutex);
        kept.text = message;
    }
    std::cerr << "rankexec: " + message + "\n" << std::flush;
}

std::string last_complaint() {
    auto& kept = kept_complaint();
    const std::lock_guard lock(kept.mutex);
    return kept.text;
}

int print_text(const std::string& text) {
    errno = 0;
    std::cout << text << std::flush;
    if (std::cout) return kExitSuccess;
    const int error = errno;
    if (error != EPIPE) complain(text_of_output_error(error));
    return exit_code_of_output(error);
}

bool fits_this_machine(const GroupOptions& group) {
    if (group.launcher != "local") return true;
    const auto fits = check_fits(group.world_size, process_limit());
    if (!fits) complain(fits.error());
    return fits.has_value();
}

int run_command_line(int argc, char** argv) {
    open_closed_standard_streams();
    reap_as_first_process();
    const auto command = parse_command_line(std::vector<std::string>(argv + 1, argv + argc), launcher_names());
    if (!command) {
        complain(command.error() + "\nfor help: rankexec help");
        return kExitUsage;
    }
    const auto result = execute(*command);
    if (wants_json(*command)) print_json(result);
    return result.exit_code == kExitSuccess && !std::cerr ? kExitFailure : result.exit_code;
}

}  // namespace rankexec::cli
