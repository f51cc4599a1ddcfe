// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/slurm_run_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {
namespace {

constexpr const char* kFolder = ".rankexec-slurm";

tl::unexpected<Failure> failed(const std::filesystem::path& path, int error) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = path.string() + ": " + std::generic_category().message(error);
    return tl::unexpected(std::move(failure));
}

bool write_all(int file, const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
        const auto count = ::write(file, text.data() + done, text.size() - done);
        if (count < 0 && errno != EINTR) return false;
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    return true;
}

std::optional<std::string> first_line(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::string line;
    if (!in) return std::nullopt;
    std::getline(in, line);
    return line;
}

bool is_variable_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

}  // namespace

std::string shell_word(const std::string& text) {
    std::string word = "'";
    for (const char c : text) word += c == '\'' ? "'\\''" : std::string(1, c);
    return word + "'";
}

SlurmRunFiles::SlurmRunFiles(const std::filesystem::path& directory, const std::string& name)
    : folder_(directory / kFolder),
      claim_(folder_ / (name + ".claim")),
      exit_(folder_ / (name + ".exit")),
      environment_(folder_ / (name + ".environment")) {}

tl::expected<void, Failure> SlurmRunFiles::prepare(const RunSpec& spec) const {
    if (::mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) return failed(folder_, errno);
    std::string text;
    for (const auto& entry : spec.environment) {
        const auto equals = entry.find('=');
        if (equals == std::string::npos || !is_variable_name(std::string_view(entry).substr(0, equals))) {
            wipe(text);
            Failure failure;
            failure.code = ReturnCode::launch_error;
            failure.message = "an environment entry is not of the form NAME=value";
            return tl::unexpected(std::move(failure));
        }
        auto word = shell_word(entry.substr(equals + 1));
        text += "export " + entry.substr(0, equals) + "=" + word + "\n";
        wipe(word);
    }
    remove_environment();
    const UniqueFd file(::open(environment_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    const bool written = file.valid() && write_all(file.get(), text) && ::fsync(file.get()) == 0;
    const int error = errno;
    wipe(text);
    if (!written) return failed(environment_, error);
    return {};
}

std::string SlurmRunFiles::script(const RunSpec& spec) const {
    std::string command;
    for (const auto& argument : spec.command) command += (command.empty() ? "" : " ") + shell_word(argument);
    const auto claim = shell_word(claim_);
    const auto environment = shell_word(environment_);
    const auto exit = shell_word(exit_);
    // With noclobber a shell creates a file only if there is none. The temporary file of the report has this job's
    // number, and becomes the report in one step.
    return "#!/bin/sh\n"
           "if ! (set -C; echo \"$SLURM_JOB_ID\" > " +
           claim +
           ") 2> /dev/null; then\n"
           "    echo 'rankexec: this run was started or given up before; nothing is done' >&2\n"
           "    exit 0\n"
           "fi\n"
           ". " +
           environment +
           "\n"
           "rm -f " +
           environment +
           "\n"
           "report=" +
           exit +
           "\n"
           "child=\n"
           "stopped=\n"
           "trap 'stopped=yes; [ -z \"$child\" ] || kill -TERM \"$child\" 2> /dev/null' TERM\n" +
           command +
           " &\n"
           "child=$!\n"
           "[ -z \"$stopped\" ] || kill -TERM \"$child\"\n"
           "wait \"$child\"\n"
           "code=$?\n"
           "while [ \"$code\" -gt 128 ] && kill -0 \"$child\" 2> /dev/null; do\n"
           "    wait \"$child\"\n"
           "    code=$?\n"
           "done\n"
           "(umask 077; echo \"$code\" > \"$report.$SLURM_JOB_ID\" && mv \"$report.$SLURM_JOB_ID\" \"$report\")\n"
           "exit \"$code\"\n";
}

std::optional<std::string> SlurmRunFiles::claim() const { return first_line(claim_); }

bool SlurmRunFiles::revoke() const {
    (void)::mkdir(folder_.c_str(), 0700);
    const UniqueFd file(::open(claim_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.valid()) {
        remove_environment();
        return write_all(file.get(), std::string(kRevoked) + "\n");
    }
    return claim() == kRevoked;
}

std::optional<ExitStatus> SlurmRunFiles::exit() const {
    const auto line = first_line(exit_);
    if (!line || line->empty() || line->size() > 3) return std::nullopt;
    if (!std::ranges::all_of(*line, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    const int code = std::stoi(*line);
    constexpr int kSignalled = 128;
    constexpr int kLastSignal = 64;
    if (code > kSignalled && code <= kSignalled + kLastSignal) return ExitStatus{true, code - kSignalled};
    return ExitStatus{false, code};
}

void SlurmRunFiles::remove_environment() const { (void)::unlink(environment_.c_str()); }

}  // namespace rankexec::job
