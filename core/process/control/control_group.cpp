// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/control/control_group.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "rankexec-";

bool write_text(const std::string& file, std::string_view text) {
    const UniqueFd target(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    return target.valid() && ::write(target.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// Where cgroup v2 is mounted: alone, or beside version 1.
std::string mount_point() {
    for (const char* place : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        if (::access((std::string(place) + "/cgroup.controllers").c_str(), F_OK) == 0) return place;
    }
    return {};
}

/// The folder of our own group; empty when there is none.
std::string own_folder() {
    const auto mount = mount_point();
    if (mount.empty()) return {};
    std::ifstream memberships("/proc/self/cgroup");
    for (std::string line; std::getline(memberships, line);) {
        constexpr std::string_view kVersionTwo = "0::";
        if (!line.starts_with(kVersionTwo)) continue;
        const auto path = line.substr(kVersionTwo.size());
        // Outside of what this cgroup namespace shows.
        if (path.starts_with("/..")) return {};
        return path == "/" ? mount : mount + path;
    }
    return {};
}

std::string folder_for(const std::string& own, const std::string& run_id) {
    // The id comes from a message: nothing but a plain name may reach the path.
    const bool plain = !run_id.empty() && run_id.find_first_not_of("0123456789abcdef") == std::string::npos;
    return own.empty() || !plain ? std::string() : own + "/" + std::string(kPrefix) + run_id;
}

/// Groups whose guardian and host were both killed stay behind, empty. Removing one that is still
/// wanted does no harm but to lose this containment; the age makes even that unlikely.
void remove_stale_groups(const std::string& own) {
    constexpr std::time_t kAge = 10;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(own, ignored)) {
        struct stat facts {};
        if (!entry.path().filename().string().starts_with(kPrefix)) continue;
        if (::stat(entry.path().c_str(), &facts) != 0 || std::time(nullptr) - facts.st_mtime < kAge) continue;
        ::rmdir(entry.path().c_str());  // refused while anything lives in it
    }
}

}  // namespace

std::optional<ControlGroup> ControlGroup::create(const std::string& run_id) {
    const auto own = own_folder();
    const auto folder = folder_for(own, run_id);
    if (folder.empty() || ::mkdir(folder.c_str(), 0755) != 0) return std::nullopt;
    ControlGroup group(folder);
    const bool usable = ::access((folder + "/cgroup.kill").c_str(), W_OK) == 0 &&
                        ::access((folder + "/cgroup.procs").c_str(), W_OK) == 0;
    if (usable) {
        remove_stale_groups(own);
        return group;
    }
    ::rmdir(folder.c_str());
    return std::nullopt;
}

std::optional<ControlGroup> ControlGroup::find(const std::string& run_id) {
    const auto folder = folder_for(own_folder(), run_id);
    if (folder.empty() || ::access((folder + "/cgroup.kill").c_str(), W_OK) != 0) return std::nullopt;
    return ControlGroup(folder);
}

UniqueFd ControlGroup::open() const { return UniqueFd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }

void ControlGroup::admit(std::vector<pid_t> pids) const {
    std::ifstream members(folder_ + "/cgroup.procs");
    for (pid_t member = 0; members >> member;) std::erase(pids, member);
    if (pids.empty() || ::fork() != 0) return;
    // One write per process; one that has ended meanwhile fails alone.
    for (const pid_t pid : pids) write_text(folder_ + "/cgroup.procs", std::to_string(pid));
    ::_exit(0);
}

void ControlGroup::kill() const { write_text(folder_ + "/cgroup.kill", "1"); }

bool ControlGroup::remove() const {
    // Ranks may have made groups of their own in it; from the leaves up.
    std::vector<std::string> folders{folder_};
    for (std::size_t index = 0; index < folders.size(); ++index) {
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(folders[index], ignored)) {
            if (entry.is_directory(ignored)) folders.push_back(entry.path().string());
        }
    }
    while (folders.size() > 1) {
        ::rmdir(folders.back().c_str());
        folders.pop_back();
    }
    return ::rmdir(folder_.c_str()) == 0 || errno == ENOENT;
}

}  // namespace rankexec::process
