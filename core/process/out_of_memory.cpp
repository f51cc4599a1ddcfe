// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/out_of_memory.hpp"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>

namespace rankexec::process {
namespace {

std::optional<std::int64_t> kills(const std::string& file) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    return in ? oom_kills_in(text.str()) : std::nullopt;
}

/// The nearest file of that name from the group `path` up to the root of the hierarchy. Where the path is
/// not visible, as in a container, the root is the container's own group.
std::string find_file(const std::string& mount, std::string path, const std::string& name) {
    if (path.starts_with("/..")) path.clear();
    for (;;) {
        auto file = mount + path;
        file += "/" + name;
        if (kills(file)) return file;
        if (path.empty()) return {};
        path.resize(path.rfind('/'));
    }
}

/// `line` is of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH
std::string file_of(std::string_view line) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) return {};
    const auto controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    std::string path(line.substr(second + 1));
    if (path == "/") path.clear();
    if (controllers.find(",memory,") != std::string::npos) {
        return find_file("/sys/fs/cgroup/memory", path, "memory.oom_control");
    }
    if (controllers != ",,") return {};
    for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
        if (auto file = find_file(mount, path, "memory.events"); !file.empty()) return file;
    }
    return {};
}

}  // namespace

std::optional<std::int64_t> oom_kills_in(const std::string& text) {
    constexpr std::string_view kName = "oom_kill ";
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(kName)) continue;
        std::int64_t count = 0;
        const auto* const end = line.data() + line.size();
        const auto [stop, error] = std::from_chars(line.data() + kName.size(), end, count);
        if (error == std::errc() && stop == end) return count;
    }
    return std::nullopt;
}

OutOfMemoryWatch::OutOfMemoryWatch() {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; file_.empty() && std::getline(groups, line);) file_ = file_of(line);
    if (!file_.empty()) claimed_ = kills(file_).value_or(0);
}

bool OutOfMemoryWatch::claim_kill() {
    if (file_.empty() || kills(file_).value_or(0) <= claimed_) return false;
    ++claimed_;
    return true;
}

}  // namespace rankexec::process
