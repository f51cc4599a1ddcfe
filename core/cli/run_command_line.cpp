// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/rank_count.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/launch/rank_launcher.hpp"

namespace rankexec::cli {
namespace {

int print(const std::string& text) {
    std::cout << text << std::flush;
    return std::cout ? kExitSuccess : kExitFailure;
}

struct Execute {
    int operator()(const LaunchCommand& command) const { return launch(command); }
    int operator()(const RunCommand& command) const { return run(command); }
    int operator()(const PrintCommand& command) const { return print(command.text); }
};

}  // namespace

void complain(const std::string& message) { std::cerr << "rankexec: " + message + "\n" << std::flush; }

bool fits_this_machine(const GroupOptions& group) {
    if (group.launcher != "local") return true;
    const auto fits = check_fits(group.world_size, process_limit());
    if (!fits) complain(fits.error());
    return fits.has_value();
}

int run_command_line(int argc, char** argv) {
    try {
        const auto command = parse_command_line(std::vector<std::string>(argv + 1, argv + argc), launcher_names());
        if (command) return std::visit(Execute{}, *command);
        complain(command.error() + "\nfor help: rankexec help");
        return kExitUsage;
    } catch (const ConfigurationError& error) {
        complain(error.what());
        return exit_code_of(error);
    } catch (const std::bad_alloc&) {
        complain("out of memory");
    } catch (const std::exception& error) {
        complain(error.what());
    }
    return kExitFailure;
}

}  // namespace rankexec::cli
