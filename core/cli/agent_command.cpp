// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/program_search.hpp"
#include "rankexec/core/cli/run_session.hpp"
#include "rankexec/core/cli/terminal.hpp"
#include "rankexec/core/executor/outside/agent_pipe.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/exchange/agent_address.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "rankexec/ipc/transport/run_directory.hpp"
#include "rankexec/worker/agent/shell/agent_client.hpp"
#include "rankexec/worker/agent/shell/agent_server.hpp"
#include "rankexec/worker/agent/shell/shell_message.hpp"
#include "rankexec/worker/agent/shell/task_files.hpp"

namespace rankexec::cli {
namespace {

using Outcome = agent::AgentClient::Outcome;

/// A socket's path has at most 107 characters.
constexpr std::size_t kLongestFolder = 80;

CommandResult failed(const std::string& message) {
    complain(message);
    return {kExitFailure, {}};
}

CommandResult closed(const std::string& message) {
    // How every loop over tasks ends is nothing to complain of.
    log::info("rankexec agent: " + message);
    return {kExitClosed, {}};
}

CommandResult result_of(const tl::expected<agent::AgentClient::Answer<agent::AgentClient::None>, std::string>& told) {
    if (!told) return failed(told.error());
    return told->outcome == Outcome::closed ? closed(told->message) : CommandResult{};
}

/// The program's commands are this one, wherever it is installed; what PATH has before it goes first.
std::string path_with_this_command() {
    std::error_code ignored;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* const path = std::getenv("PATH");
    return "PATH=" + (path == nullptr ? std::string() : path + std::string(":")) + folder;
}

LaunchSessionOptions session_options(const AgentRunCommand& command, const std::string& socket) {
    LaunchSessionOptions options;
    options.group.program = command.program;
    options.group.environment = {std::string(agent::shell::kSocketVariable) + "=" + socket, path_with_this_command()};
    options.group.stdin_mode = wire::StdinMode::rank_zero;
    options.group.grace = command.grace;
    options.shared_output = same_file(STDOUT_FILENO, STDERR_FILENO);
    options.interactive = ::isatty(STDOUT_FILENO) == 1;
    return options;
}

/// When there will be no more tasks, the program ends by itself or is ended.
OnSessionStart ending_with(agent::Agent& agent, std::chrono::milliseconds end_timeout) {
    return [&agent, end_timeout](EventLoop& loop, LaunchSession& session) {
        return agent.closed().on_trigger([&loop, &session, end_timeout](const std::string& reason) {
            loop.post([&loop, &session, end_timeout, reason] {
                loop.call_after(end_timeout, [&session, reason] {
                    session.end_because(reason + ", and the program has not ended");
                });
            });
        });
    };
}

/// The folder that the executor has made for its pipe, and removes; empty where there is none on this host. It outlives
/// whatever the executor ends by force, which takes this process and a guardian of its own along. Before agent::init(),
/// which takes the variable away.
std::string folder_of_executor() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* const text = std::getenv(exchange::kAgentVariable);
    if (text == nullptr) return {};
    const auto address = exchange::AgentAddress::parse(text);
    if (!address || address->form == exchange::AgentAddress::Form::credentials) return {};
    const auto folder = std::filesystem::path(address->value).parent_path();
    struct stat status {};
    const bool made = folder.filename().string().starts_with("rx-") && ::stat(folder.c_str(), &status) == 0 &&
                      status.st_uid == ::geteuid() && (status.st_mode & 0777U) == 0700U;
    return made && folder.string().size() <= kLongestFolder ? folder.string() : std::string();
}

/// Where the program's commands find the agent.
struct SocketPlace {
    std::string path;
    std::unique_ptr<GuardedFolder> folder;  ///< nullptr: in the executor's
    std::optional<RunDirectory> made;
};

tl::expected<SocketPlace, Failure> make_socket_place(const std::string& executors) {
    SocketPlace place;
    constexpr std::size_t kDigits = 8;
    if (!executors.empty()) {
        place.path = executors + "/agent-" + random_run_id().substr(0, kDigits);
        return place;
    }
    auto path = choose_run_directory();
    if (!path) return tl::unexpected(std::move(path.error()));
    auto folder = GuardedFolder::start(std::move(*path));
    if (!folder) return tl::unexpected(std::move(folder.error()));
    place.folder = std::move(*folder);
    auto made = RunDirectory::make(place.folder->path());
    if (!made) return tl::unexpected(std::move(made.error()));
    place.made.emplace(std::move(*made));
    place.path = place.folder->path() + "/agent";
    return place;
}

int exit_code_of(const agent::AgentError& error) {
    return error.kind == agent::AgentError::Kind::connection ? kExitFailure : kExitUsage;
}

}  // namespace

CommandResult agent_run(const AgentRunCommand& command) {
    const auto program = search_program(command.program.front());
    if (!program) complain(program.error().message);
    if (!program) return {program.error().exit_code, {}};
    block_session_signals();
    const auto executors = command.attach ? std::string() : folder_of_executor();
    auto agent = command.attach ? agent::attach(*command.attach) : agent::init();
    if (!agent) complain(agent.error().message);
    if (!agent) return {exit_code_of(agent.error()), {}};
    const auto place = make_socket_place(executors);
    if (!place) return failed(place.error().message);
    const auto server = agent::AgentServer::start(std::move(*agent), place->path);
    if (!server) return failed(server.error());
    auto result =
        run_session(session_options(command, place->path), ending_with((*server)->agent(), command.end_timeout));
    (*server)->close();
    return result;
}

CommandResult agent_get_task(const AgentGetTaskCommand& command) {
    auto client = agent::AgentClient::connect();
    if (!client) return failed(client.error());
    const auto answer = client->get_task(command.timeout);
    if (!answer) return failed(answer.error());
    if (answer->outcome == Outcome::closed) return closed(answer->message);
    if (answer->outcome == Outcome::nothing) return {kExitTimeout, {}};
    const auto text = agent::write_task(command.folder, answer->content);
    if (!text) return failed(text.error());
    // Only then: what could not be written is there for the next one who asks.
    if (const int code = print_text(*text); code != kExitSuccess) return {code, {}};
    return result_of(client->take());
}

CommandResult agent_submit_result(const AgentSubmitCommand& command) {
    auto client = agent::AgentClient::connect();
    if (!client) return failed(client.error());
    auto result = agent::read_result(command.folder);
    if (!result) return failed(result.error());
    const auto told = client->submit_result(std::move(*result));
    // Unlike the end of a loop over tasks, this is work that is lost.
    if (told && told->outcome == Outcome::closed) {
        complain("the result was not taken: " + told->message);
        return {kExitClosed, {}};
    }
    return result_of(told);
}

CommandResult agent_log(const AgentLogCommand& command) {
    auto client = agent::AgentClient::connect();
    if (!client) return failed(client.error());
    return result_of(client->log(command.figures, command.type));
}

}  // namespace rankexec::cli
