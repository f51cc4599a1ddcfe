// SPDX-License-Identifier: Apache-2.0
//
// outside_program [STEP...]
//
// A program that an executor launches, and that does on request what such programs do, or should not. First each STEP:
//   out=TEXT err=TEXT      writes TEXT; \n is a line break
//   flood=BYTES            writes so many bytes to standard output, without a line break
//   garbage                writes bytes that are no UTF-8 to both streams
//   close-stdout           closes standard output
//   ignore-term            ignores SIGTERM
//   note=FILE              appends a line to the file: its pid, then its working directory
//   child                  starts a child in a session of its own that ignores SIGTERM and never ends
//   exit=CODE kill=SIGNAL  ends
//   sleep                  never ends
//   connections            tells among the headers of each result how many tcp connections it has
// Then, as rank 0, it connects and executes tasks, until the executor ends; as another rank it only lives. What it does
// with a task is the text of the input's body: one of the steps above, or
//   echo                   gives the input back, with its pid among the headers
//   log                    logs a figure, then echoes
//   fail                   gives a result that is not ok
//   leave                  ends the exchange without a result, and exits with code 0
//   leave=CODE             likewise with that code
//   vanish                 exits with code 0 without another word
//   late                   gives its result, and then takes two seconds to end
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "rankexec/worker/agent/agent.hpp"

namespace {

using namespace rankexec;

void write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto written = ::write(fd, bytes.data(), bytes.size());
        if (written <= 0) return;
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::string with_breaks(std::string text) {
    for (auto place = text.find("\\n"); place != std::string::npos; place = text.find("\\n"))
        text.replace(place, 2, "\n");
    return text;
}

[[noreturn]] void live_for_ever() {
    while (true) ::pause();
}

void start_child() {
    if (::fork() != 0) return;
    ::setsid();
    ::signal(SIGTERM, SIG_IGN);
    live_for_ever();
}

void flood(std::size_t bytes) {
    const std::string block(std::size_t{1} << 16U, 'x');
    for (; bytes >= block.size(); bytes -= block.size()) write_all(STDOUT_FILENO, block);
    write_all(STDOUT_FILENO, block.substr(0, bytes));
}

bool tells_connections = false;

/// Of this process (proc_net(5)).
int tcp_connections() {
    std::set<std::string> own;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code ignored;
        own.insert(std::filesystem::read_symlink(entry, ignored).string());
    }
    std::ifstream table("/proc/net/tcp");
    int established = 0;
    for (std::string line; std::getline(table, line);) {
        std::istringstream fields(line);
        std::vector<std::string> words;
        for (std::string word; fields >> word;) words.push_back(word);
        constexpr std::size_t kState = 3;
        constexpr std::size_t kInode = 9;
        if (words.size() <= kInode || words[kState] != "01") continue;
        established += own.contains("socket:[" + words[kInode] + "]") ? 1 : 0;
    }
    return established;
}

/// False: it is no step.
bool take(const std::string& step) {
    const auto name = step.substr(0, step.find('='));
    const auto value = name.size() == step.size() ? std::string() : step.substr(name.size() + 1);
    if (name == "out")
        write_all(STDOUT_FILENO, with_breaks(value));
    else if (name == "err")
        write_all(STDERR_FILENO, with_breaks(value));
    else if (name == "flood")
        flood(std::stoull(value));
    else if (name == "garbage") {
        for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) write_all(fd, "\xff\xfe\x80 then text \xc3(\n");
    } else if (name == "close-stdout")
        ::close(STDOUT_FILENO);
    else if (name == "ignore-term")
        ::signal(SIGTERM, SIG_IGN);
    else if (name == "note")
        std::ofstream(value, std::ios::app) << ::getpid() << " " << std::filesystem::current_path().string() << "\n";
    else if (name == "child")
        start_child();
    else if (name == "exit")
        ::_exit(std::stoi(value));
    else if (name == "kill")
        ::raise(std::stoi(value));
    else if (name == "connections")
        tells_connections = true;
    else if (name == "sleep")
        live_for_ever();
    else
        return false;
    return true;
}

Shareable echo(const agent::Task& task) {
    Shareable result = task.input;
    result.headers["pid"] = static_cast<std::int64_t>(::getpid());
    if (tells_connections) result.headers["tcp"] = tcp_connections();
    return result;
}

/// False: the exchange is over.
bool serve(agent::Agent& agent, const agent::Task& task) {
    const auto action = task.input.body.text_or("echo");
    if (action.starts_with("leave")) {
        agent.close();
        std::exit(action.size() > 6 ? std::stoi(action.substr(6)) : 0);
    }
    if (action == "vanish") ::_exit(0);
    if (action == "log") {
        Value::Map figures;
        figures["loss"] = 0.5;
        if (!agent.log(figures)) return false;
    }
    auto result = echo(task);
    if (action == "fail") result = Shareable::failed(ReturnCode::task_unknown, "no such thing is done here");
    if (take(action)) result = echo(task);
    const bool taken = agent.submit_result(std::move(result)).has_value();
    if (action == "late") {
        std::this_thread::sleep_for(std::chrono::seconds(2));
        std::exit(0);
    }
    return taken;
}

}  // namespace

int main(int argc, char** argv) {
    for (int index = 1; index < argc; ++index) {
        if (!take(argv[index])) return 64;
    }
    if (const char* rank = std::getenv("RANK"); rank != nullptr && std::string_view(rank) != "0") live_for_ever();
    agent::InitOptions options;
    options.handler.heartbeat_interval = std::chrono::milliseconds(200);
    options.handler.peer_gone_after = std::chrono::milliseconds(5000);
    auto agent = agent::init(options);
    if (!agent) {
        std::cerr << agent.error().message << std::endl;
        return 65;
    }
    while ((*agent)->is_running()) {
        const auto task = (*agent)->get_task(std::chrono::seconds(60));
        if (!task) break;
        if (*task && !serve(**agent, **task)) break;
    }
    (*agent)->close();
    return 0;
}
