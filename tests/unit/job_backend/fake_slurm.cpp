// SPDX-License-Identifier: Apache-2.0
#include "unit/job_backend/fake_slurm.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "rankexec/core/system/run_command.hpp"

namespace rankexec::job::test {
namespace {

/// Before each command: what it was called with, and whether it shall fail.
constexpr const char* kBegin = R"sh(#!/bin/sh
here=$(dirname "$0")
me=$(basename "$0")
echo "$@" >> "$here/$me.calls"
mode=$(cat "$here/$me.mode" 2> /dev/null)
if [ "$mode" = down ]; then
    echo "$me: error: Unable to contact slurm controller (connect failure)" >&2
    exit 1
fi
)sh";

constexpr const char* kSbatch = R"sh(
for word in "$@"; do case "$word" in --job-name=*) name=${word#*=} ;; esac; done
case "$mode" in refuse) echo "sbatch: error: invalid partition specified: nowhere" >&2; exit 1 ;; esac
late="sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"
case "$mode" in lost) cat > "$here/script.lost"; echo "$late" >&2; exit 1 ;; esac
id=$(($(cat "$here/last" 2> /dev/null || echo 100) + 1))
echo "$id" > "$here/last"
cat > "$here/script.$id"
echo "$name" > "$here/name.$id"
echo PENDING > "$here/state.$id"
case "$mode" in silent) echo "$late" >&2; exit 1 ;; esac
echo "$id"
)sh";

constexpr const char* kSqueue = R"sh(
for file in "$here"/state.*; do
    [ -e "$file" ] || continue
    id=${file##*.}
    echo "$id|$(cat "$here/name.$id")|$(cat "$file")"
done
)sh";

constexpr const char* kSacct = R"sh(
cat "$here/accounted" 2> /dev/null || { echo "Slurm accounting storage is disabled" >&2; exit 1; }
)sh";

constexpr const char* kScancel = R"sh(
for word in "$@"; do case "$word" in --name=*) name=${word#*=} ;; esac; done
for file in "$here"/state.*; do
    [ -e "$file" ] || continue
    [ "$(cat "$here/name.${file##*.}")" = "$name" ] && echo CANCELLED > "$file"
done
exit 0
)sh";

void write(const std::filesystem::path& path, const std::string& text) {
    // In one step: a command may read it at the same time.
    const auto next = path.string() + ".next";
    std::ofstream(next) << text;
    std::filesystem::rename(next, path);
}

std::string read(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

}  // namespace

FakeSlurm::FakeSlurm(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::create_directories(folder_);
    const auto add = [&](const char* name, const char* text) {
        write(folder_ / name, std::string(kBegin) + text);
        std::filesystem::permissions(folder_ / name, std::filesystem::perms::owner_all);
    };
    add("sbatch", kSbatch);
    add("squeue", kSqueue);
    add("sacct", kSacct);
    add("scancel", kScancel);
}

void FakeSlurm::set(const std::string& command, const std::string& mode) const {
    write(folder_ / (command + ".mode"), mode);
}
void FakeSlurm::set_state(const std::string& id, const std::string& state) const {
    // Not beside it, where squeue looks.
    write(folder_ / "next", state);
    std::filesystem::rename(folder_ / "next", folder_ / ("state." + id));
}
void FakeSlurm::forget(const std::string& id) const { std::filesystem::remove(folder_ / ("state." + id)); }
void FakeSlurm::set_accounted(const std::string& lines) const { write(folder_ / "accounted", lines); }

std::vector<std::string> FakeSlurm::calls(const std::string& command) const {
    std::ifstream in(folder_ / (command + ".calls"));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::string FakeSlurm::script(const std::string& id) const { return read(folder_ / ("script." + id)); }

std::vector<std::string> FakeSlurm::ids() const {
    std::vector<std::string> ids;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with("script.")) ids.push_back(name.substr(7));
    }
    std::ranges::sort(ids);
    return ids;
}

int FakeSlurm::run_script(const std::string& id, const std::filesystem::path& directory) const {
    Command command;
    command.argv = {"/bin/sh", "-s"};
    command.input = script(id);
    command.directory = directory;
    command.environment = {{"SLURM_JOB_ID=" + id, "PATH=/usr/bin:/bin"}};
    const auto result = run_command(command);
    if (!result) throw std::runtime_error(result.error().message);
    return result->exit.shell_code();
}

}  // namespace rankexec::job::test
