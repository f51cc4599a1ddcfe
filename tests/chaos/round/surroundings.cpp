// SPDX-License-Identifier: Apache-2.0
#include "surroundings.hpp"

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace chaos {
namespace {

namespace fs = std::filesystem;

int patience = 1;

std::string content(const fs::path& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    auto out = text.str();
    for (auto& c : out) {
        if (c == '\0') c = ' ';
    }
    return out;
}

std::set<std::string> temporary_files() {
    std::set<std::string> found;
    for (const char* folder : {"/tmp", "/var/tmp", "/dev/shm", "/run/user"}) {
        std::error_code error;
        for (const auto& entry : fs::directory_iterator(folder, error)) found.insert(entry.path());
    }
    return found;
}

/// Every socket of the network namespace that is bound or connected. The inode, which every table has as
/// one of its columns, is part of the line.
std::set<std::string> sockets() {
    std::set<std::string> found;
    for (const char* table : {"unix", "tcp", "tcp6", "udp"}) {
        std::ifstream file(std::string("/proc/net/") + table);
        std::string line;
        std::getline(file, line);
        while (std::getline(file, line)) {
            // What is closed and only waits for late segments belongs to nobody.
            const bool closing = std::string_view(table).starts_with("tcp") &&
                                 (line.find(" 06 ") != std::string::npos || line.find(" 04 ") != std::string::npos ||
                                  line.find(" 05 ") != std::string::npos);
            if (!closing) found.insert(std::string(table) + ": " + line);
        }
    }
    return found;
}

}  // namespace

std::vector<Process> all_processes() {
    std::vector<Process> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto stat = content(entry.path() / "stat");
        const auto end_of_name = stat.rfind(')');
        if (end_of_name == std::string::npos) continue;
        Process process;
        process.pid = std::stoi(name);
        std::sscanf(stat.c_str() + end_of_name + 1, " %c %d", &process.state, &process.parent);
        process.command = content(entry.path() / "cmdline");
        if (process.command.empty()) process.command = stat.substr(0, end_of_name + 1);
        found.push_back(std::move(process));
    }
    return found;
}

Surroundings::Surroundings() : files_(temporary_files()), sockets_(sockets()) {
    for (const auto& process : all_processes()) processes_.insert(process.pid);
}

std::vector<std::string> Surroundings::new_processes() const {
    std::vector<std::string> found;
    for (const auto& process : all_processes()) {
        if (processes_.contains(process.pid)) continue;
        found.push_back("process " + std::to_string(process.pid) + " (" + process.state + "): " + process.command);
    }
    return found;
}

std::vector<std::string> Surroundings::new_since() const {
    auto found = new_processes();
    for (const auto& file : temporary_files()) {
        if (!files_.contains(file)) found.push_back("file " + file);
    }
    // Without new processes a new socket would have to be somebody else's.
    if (!found.empty()) return found;
    for (const auto& socket : sockets()) {
        if (!sockets_.contains(socket)) found.push_back("socket " + socket);
    }
    return found;
}

double Surroundings::wait_until_clean(std::chrono::milliseconds limit) const {
    const auto begin = std::chrono::steady_clock::now();
    if (!eventually(limit, [this] { return new_since().empty(); })) return -1;
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

void be_patient(int factor) { patience = factor; }

std::chrono::milliseconds allowed(std::chrono::milliseconds limit) { return limit * patience; }

bool eventually(std::chrono::milliseconds limit, const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + allowed(limit);
    for (;;) {
        if (condition()) return true;
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
}

std::optional<std::chrono::steady_clock::time_point> moment_of(const char* stamp) {
    std::int64_t nanoseconds = 0;
    const bool there = eventually(std::chrono::milliseconds(20'000), [&] {
        std::ifstream file(stamp);
        return static_cast<bool>(file >> nanoseconds);
    });
    std::remove(stamp);
    if (!there) return std::nullopt;
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(nanoseconds));
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& word : words) text += (text.empty() ? "" : "; ") + word;
    return text;
}

}  // namespace chaos
