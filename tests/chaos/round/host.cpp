// SPDX-License-Identifier: Apache-2.0
#include "host.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <stdexcept>
#include <vector>

#include "launched.hpp"
#include "rankexec/core/component/engine.hpp"

namespace chaos {

void say(Phase phase) {
    const char letter = static_cast<char>(phase);
    if (::write(STDOUT_FILENO, &letter, 1) != 1) ::_exit(3);
}

int run_host(const RoundOptions& round) {
    if (round.variant.starts_with("launched")) return run_launched_host(round);
    rankexec::Engine engine;
    auto& executor = static_cast<rankexec::MultiProcessExecutor&>(
        engine.add("group", std::make_unique<rankexec::MultiProcessExecutor>(group_options(round))));
    for (;;) {
        auto context = engine.new_context();
        say(Phase::launch);
        if (const auto ready = executor.initialise(context); !ready) {
            std::cerr << ready.error().describe() << "\n";
            return 1;
        }
        say(Phase::execute);
        if (round.contained) {
            (void)executor.execute("stubborn", with_headers({{"how", round.variant}}), context, {});
            return 1;
        }
        const auto reply = executor.execute("work", {}, context, {});
        if (reply.code != rankexec::ReturnCode::ok) return 1;
        say(Phase::event);
        engine.fire_event("chaos", context);
        say(Phase::finalise);
        executor.finalise();
        say(Phase::again);
    }
}

Host::Host(const RoundOptions& round) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    phases_ = ends[0];
    const auto ranks = std::to_string(round.ranks);
    std::vector<const char*> arguments{"chaos_round",          "--host",  "--launcher",
                                       round.launcher.c_str(), "--ranks", ranks.c_str()};
    if (!round.command_template.empty()) {
        arguments.push_back("--command-template");
        arguments.push_back(round.command_template.c_str());
    }
    if (!round.variant.empty()) {
        arguments.push_back("--variant");
        arguments.push_back(round.variant.c_str());
    }
    if (round.contained) arguments.push_back("--contained");
    if (round.zeromq) arguments.push_back("--zeromq");
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(ends[1], STDOUT_FILENO);
        ::execv("/proc/self/exe", const_cast<char**>(arguments.data()));
        ::_exit(127);
    }
    ::close(ends[1]);
}

Host::~Host() {
    if (pid_ > 0) kill();
    ::close(phases_);
}

bool Host::wait_for(Phase phase) {
    char letter = 0;
    for (;;) {
        const auto size = ::read(phases_, &letter, 1);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return false;
        if (letter == static_cast<char>(phase)) return true;
    }
}

void Host::kill() {
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
}

}  // namespace chaos
