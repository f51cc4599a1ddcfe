// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/program_search.hpp"

#include <unistd.h>

#include <cstdlib>
#include <system_error>

#include "rankexec/core/cli/exit_code.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;

enum class Found { nothing, unusable, usable };

Found look_at(const fs::path& path, bool executable) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (!fs::exists(status)) return Found::nothing;
    if (fs::is_directory(status)) return Found::unusable;
    return ::access(path.c_str(), executable ? X_OK : R_OK) == 0 ? Found::usable : Found::unusable;
}

/// Looks at places in turn and remembers them for the message.
class Search {
public:
    explicit Search(bool executable) : executable_(executable) {}

    bool visit(const fs::path& path) {
        const auto found = look_at(path, executable_);
        if (found == Found::usable) {
            result_ = fs::absolute(path).lexically_normal();
            return true;
        }
        if (found == Found::unusable && unusable_.empty()) unusable_ = path;
        looked_at_ += (looked_at_.empty() ? "" : ", ") + path.string();
        return false;
    }

    [[nodiscard]] const fs::path& result() const { return result_; }

    [[nodiscard]] ProgramError error(const std::string& name) const {
        if (!unusable_.empty()) {
            std::error_code ignored;
            const auto* const what = fs::is_directory(unusable_, ignored) ? " is a directory"
                                     : executable_                        ? " is not executable"
                                                                          : " cannot be read";
            return {kExitNotExecutable, unusable_.string() + what};
        }
        return {kExitNotFound, "'" + name + "' was not found; looked at " + looked_at_};
    }

private:
    bool executable_;
    fs::path result_;
    fs::path unusable_;
    std::string looked_at_;
};

std::vector<fs::path> path_folders() {
    const char* const variable = std::getenv("PATH");
    const std::string text = variable != nullptr ? variable : "/bin:/usr/bin";
    std::vector<fs::path> folders;
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const auto end = std::min(text.find(':', begin), text.size());
        folders.emplace_back(end == begin ? "." : text.substr(begin, end - begin));
        begin = end + 1;
    }
    return folders;
}

bool visit_path(Search& search, const std::string& name) {
    for (const auto& folder : path_folders()) {
        if (search.visit(folder / name)) return true;
    }
    return false;
}

}  // namespace

tl::expected<fs::path, ProgramError> search_program(const std::string& name) {
    if (name.empty()) return tl::unexpected(ProgramError{kExitNotFound, "the program's name is empty"});
    Search search(true);
    const bool found = name.find('/') != std::string::npos ? search.visit(name) : visit_path(search, name);
    if (found) return search.result();
    return tl::unexpected(search.error(name));
}

tl::expected<fs::path, ProgramError> search_job_file(const std::string& name, const JobFilePlaces& places) {
    Search search(places.executable);
    if (fs::path(name).is_absolute()) {
        if (search.visit(name)) return search.result();
        return tl::unexpected(search.error(name));
    }
    if (search.visit(places.job_folder / name)) return search.result();
    for (const auto& folder : places.folders) {
        if (search.visit(folder / name)) return search.result();
    }
    const bool bare = name.find('/') == std::string::npos;
    if (places.use_path && bare && visit_path(search, name)) return search.result();
    return tl::unexpected(search.error(name));
}

fs::path program_folder() {
    std::error_code error;
    const auto program = fs::read_symlink("/proc/self/exe", error);
    return error ? fs::path(".") : program.parent_path();
}

}  // namespace rankexec::cli
