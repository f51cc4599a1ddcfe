// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/program_search.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec {

std::vector<std::string> search_path(const std::vector<std::string>& environment) {
    std::vector<std::string> directories;
    const std::string path = environment_value(environment, "PATH").value_or("/usr/local/bin:/usr/bin:/bin");
    std::string_view rest = path;
    while (!rest.empty()) {
        const auto colon = rest.find(':');
        const auto directory = rest.substr(0, colon);
        std::error_code error;  // the launcher may run in another working directory
        directories.push_back(std::filesystem::absolute(directory.empty() ? "." : directory, error).string());
        rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
    return directories;
}

bool is_executable(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::optional<std::string> find_in_path(const std::vector<std::string>& environment, std::string_view name) {
    for (const auto& directory : search_path(environment)) {
        auto candidate = directory + "/" + std::string(name);
        if (is_executable(candidate)) return candidate;
    }
    return std::nullopt;
}

Failure not_installed(std::string_view launcher, std::string_view program, std::string_view package) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "launcher " + std::string(launcher) + ": " + std::string(program) +
                      " is not in PATH; install it (Debian: apt install " + std::string(package) +
                      ") or choose another launcher";
    return failure;
}

Failure cannot_serve(std::string_view launcher, std::string_view why) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = "launcher " + std::string(launcher) + ": " + std::string(why);
    return failure;
}

std::vector<std::string> shim_command(std::string_view launcher, const LaunchRequest& request) {
    const bool prefixed = std::ranges::find(request.program, ":") != request.program.end();
    std::vector<std::string> command{request.shim, "--launcher", std::string(launcher)};
    if (prefixed) command.emplace_back("--prefixed");
    command.emplace_back("--");
    for (const auto& word : request.program) command.push_back(prefixed ? "=" + word : word);
    return command;
}

std::string comma_separated(const std::vector<std::string>& items) {
    std::string text;
    for (const auto& item : items) {
        if (!text.empty()) text += ',';
        text += item;
    }
    return text;
}

void append(std::vector<std::string>& words, const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
}

}  // namespace rankexec
