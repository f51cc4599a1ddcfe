// SPDX-License-Identifier: Apache-2.0
#include "round.hpp"

namespace chaos {

rankexec::MultiProcessOptions group_options(const RoundOptions& round) {
    rankexec::MultiProcessOptions options;
    options.group.world_size = round.ranks;
    options.group.launcher = round.launcher;
    options.group.command_template = round.command_template;
    options.group.program = {CHAOS_WORKER};
    if (round.contained) options.group.containment = rankexec::wire::Containment::pid_namespace;
    if (round.zeromq) options.transport = rankexec::Transport::zeromq;
    options.components = {{"worker", "chaos_worker", {}}};
    options.executor_id = "worker";
    options.on_output = [](int, rankexec::wire::OutputStream, std::string_view) {};
    return options;
}

rankexec::Shareable with_headers(rankexec::Value::Map headers) {
    rankexec::Shareable input;
    input.headers = std::move(headers);
    return input;
}

double milliseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

}  // namespace chaos
