// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/command_launcher.hpp"

#include "rankexec/core/launch/command_template.hpp"
#include "rankexec/core/launch/ending_policy.hpp"
#include "rankexec/core/launch/program_search.hpp"

namespace rankexec {

tl::expected<LaunchPlan, Failure> CommandLauncher::plan(const LaunchRequest& request) const {
    const auto refuse = [&](const std::string& why) {
        return tl::unexpected(
            cannot_serve(name(), "the command template \"" + request.command_template + "\": " + why));
    };
    if (request.command_template.empty()) {
        return tl::unexpected(
            cannot_serve(name(), "needs a command template, for example  mylaunch -np {n} {rank_program}"));
    }
    if (!request.extra_args.empty()) return refuse("write " + request.extra_args.front() + " into the template");
    const auto words = split_command(request.command_template);
    if (!words) return refuse(words.error());
    auto argv = expand_template(*words, request.world_size, request.hosts, shim_command(name(), request));
    if (!argv) return refuse(argv.error());

    auto& program = argv->front();
    if (program.find('/') == std::string::npos) {
        const auto found = find_in_path(request.environment, program);
        if (!found) return refuse(program + " is not in PATH");
        program = *found;
    } else if (!is_executable(program)) {
        return refuse(program + " is not an executable file");
    }

    LaunchPlan plan;
    plan.program = {std::move(*argv), request.environment, request.directory};
    plan.may_be_remote = true;
    apply_ending_policy(name(), plan);
    return plan;
}

}  // namespace rankexec
