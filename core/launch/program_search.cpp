// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/program_search.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "rankexec/core/system/rank_variables.hpp"

namespace rankexec {
namespace {

std::string encode(const std::string& word) {
    std::string result = "=";
    for (const char character : word) {
        if (character == '%') {
            result += "%25";
        } else if (character == '$') {
            result += "%24";
        } else {
            result += character;
        }
    }
    return result;
}

}  // namespace

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
    const bool encoded = std::ranges::any_of(
        request.program, [](const std::string& word) { return word == ":" || word.find('$') != std::string::npos; });
    std::vector<std::string> command{request.shim, "--launcher", std::string(launcher)};
    if (encoded) command.emplace_back("--encoded");
    command.emplace_back("--");
    for (const auto& word : request.program) command.push_back(encoded ? encode(word) : word);
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
