// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/dry_run.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/input_reader.hpp"
#include "rankexec/core/cli/launch_session.hpp"
#include "rankexec/core/cli/program_search.hpp"
#include "rankexec/core/cli/run_session.hpp"
#include "rankexec/core/cli/signal_source.hpp"
#include "rankexec/core/cli/terminal.hpp"

namespace rankexec::cli {
namespace {

LaunchSessionOptions session_options(const LaunchCommand& command) {
    LaunchSessionOptions options;
    options.group = command.group;
    options.label = command.label;
    options.json = command.json;
    options.timeout = command.timeout;
    options.shared_output = same_file(STDOUT_FILENO, STDERR_FILENO);
    options.interactive = ::isatty(STDOUT_FILENO) == 1;
    return options;
}

/// Whoever started us with nohup wants a group that outlives the terminal.
int hang_up() { return is_ignored(SIGHUP) ? SIGTERM : SIGHUP; }

/// Absolute, and there: supervisors on this host only open files in it.
bool make_log_folder(GroupOptions& group) {
    if (group.log_directory.empty()) return true;
    std::error_code error;
    const auto folder = std::filesystem::absolute(group.log_directory, error).lexically_normal();
    if (!error) std::filesystem::create_directories(folder, error);
    if (!error && ::access(folder.c_str(), W_OK | X_OK) != 0) error.assign(errno, std::generic_category());
    group.log_directory = folder;
    if (error) complain("--log-dir " + group.log_directory + ": " + error.message());
    return !error;
}

}  // namespace

void block_session_signals() {
    ignore_terminal_signals();
    block_signals({SIGINT, SIGTERM, hang_up(), SIGTSTP, SIGCONT});
}

CommandResult run_session(const LaunchSessionOptions& options, const OnSessionStart& on_start) {
    ignore_terminal_signals();
    EventLoop loop;
    std::unique_ptr<LaunchSession> session;
    std::unique_ptr<InputReader> input;
    const auto on_signal = [&](int signal) {
        if (signal == SIGCONT && input) input->resume();
        if (session) session->on_signal(signal);
    };
    const SignalSource signals(loop, {SIGINT, SIGTERM, hang_up(), SIGTSTP, SIGCONT}, on_signal);
    LaunchSession::Hooks hooks;
    hooks.start = [](EventLoop& on, const GroupOptions& options, RankGroup::Callbacks callbacks) {
        return RankGroup::start(on, options, std::move(callbacks));
    };
    hooks.stop_process = stop_this_process;
    hooks.exit_now = [](int code) { ::_exit(code); };
    hooks.on_input_wanted = [&] {
        const auto on_input = [&](Bytes&& bytes) { return session->on_input(bytes); };
        input = std::make_unique<InputReader>(loop, STDIN_FILENO, on_input);
    };
    hooks.on_input_room = [&] {
        if (input) input->proceed();
    };
    hooks.on_done = [&] { loop.stop(); };
    session = std::make_unique<LaunchSession>(loop, options, std::move(hooks));
    if (const auto started = session->start(); !started) {
        if (!options.json) complain(started.error().describe());
        return {exit_code_of(started.error()), started.error()};
    }
    const auto subscription = on_start ? on_start(loop, *session) : Signal::Subscription();
    loop.run();
    input.reset();
    return session->result();
}

CommandResult launch(const LaunchCommand& command) {
    if (!fits_this_machine(command.group)) return {kExitUsage, {}};
    // Elsewhere the program may be in other places than here.
    if (command.group.launcher == "local") {
        const auto program = search_program(command.group.program.front());
        if (!program) complain(program.error().message);
        if (!program) return {program.error().exit_code, {}};
    }
    if (command.dry_run) {
        const auto text = describe_launch(command.group);
        if (!text) complain(text.error().describe());
        if (!text) return {exit_code_of(text.error()), text.error()};
        return {print_text(*text), {}};
    }
    auto checked = command;
    if (!make_log_folder(checked.group)) return {kExitUsage, {}};
    return run_session(session_options(checked));
}

}  // namespace rankexec::cli
