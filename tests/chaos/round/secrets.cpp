// SPDX-License-Identifier: Apache-2.0
// The secrets of a run, which the round knows, are looked for wherever somebody might find them: command lines,
// environments, logs, and what a core dump of a process holds, or would hold.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>

#include "memory.hpp"
#include "rankexec/core/component/engine.hpp"
#include "rankexec/ipc/transport/credentials.hpp"
#include "surroundings.hpp"
#include "trusted.hpp"

namespace chaos {
namespace {

namespace fs = std::filesystem;
using rankexec::PeerCredentials;
using rankexec::PeerRole;
using rankexec::Secret;

constexpr const char* kLogs = "/tmp/chaos_logs";
constexpr const char* kCores = "/tmp/chaos_cores";

/// The parent application: a process of its own, because this one knows what is looked for.
class SecretHost {
public:
    explicit SecretHost(const RoundOptions& round) {
        int input[2];
        int output[2];
        if (::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ == 0) {
            const int log = ::open((std::string(kLogs) + "/host").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
            ::dup2(input[0], STDIN_FILENO);
            ::dup2(output[1], STDOUT_FILENO);
            ::dup2(log, STDERR_FILENO);
            ::setenv("RANKEXEC_LOG", "debug", 1);
            ::setenv("CHAOS_CREDENTIALS", kCredentials, 1);
            const auto ranks = std::to_string(round.ranks);
            const bool templated = !round.command_template.empty();
            ::execl("/proc/self/exe", "chaos_round", "--host", "--gate", "secrets", "--launcher",
                    round.launcher.c_str(), "--ranks", ranks.c_str(), round.zeromq ? "--zeromq" : "--host",
                    templated ? "--command-template" : nullptr, round.command_template.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(input[0]);
        ::close(output[1]);
        input_ = input[1];
        char letter = 0;
        ready_ = ::read(output[0], &letter, 1) == 1;
        ::close(output[0]);
    }
    ~SecretHost() { end(); }
    SecretHost(const SecretHost&) = delete;
    SecretHost& operator=(const SecretHost&) = delete;

    [[nodiscard]] bool ready() const { return ready_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    /// Lets it finalise and exit.
    void end() {
        if (pid_ == 0) return;
        ::close(input_);
        while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
        }
        pid_ = 0;
    }

private:
    pid_t pid_ = 0;
    int input_ = -1;
    bool ready_ = false;
};

std::string bytes_of(const Secret& secret) {
    return {reinterpret_cast<const char*>(secret.bytes().data()), secret.bytes().size()};
}

/// The run's secret is what rank 0's derives from. It is in pages that are kept out of core dumps, or nowhere.
std::optional<Secret> find_run_secret(pid_t host, const Secret& of_rank_zero) {
    std::optional<Secret> found;
    const auto look = [&](const Mapping&, std::string_view piece) {
        for (std::size_t at = 0; !found && at + Secret::kSize <= piece.size(); at += 16) {
            const auto window = std::as_bytes(std::span(piece.data() + at, Secret::kSize));
            if (std::ranges::all_of(window, [](std::byte byte) { return byte == std::byte{0}; })) continue;
            auto candidate = Secret::copy_of(window.first<Secret::kSize>());
            const auto derived = PeerCredentials::derive(candidate, PeerRole::rank, 0).secret;
            if (bytes_of(derived) == bytes_of(of_rank_zero)) found = std::move(candidate);
        }
    };
    read_memory(
        host, [](const Mapping& mapping) { return !mapping.dumped && mapping.name.empty(); }, look);
    return found;
}

struct Search {
    Needles needles;
    std::vector<std::string> findings;

    void look(const std::string& where, std::string_view text) {
        for (const auto& name : needles.in(text)) {
            const auto finding = name + " in " + where;
            if (std::ranges::find(findings, finding) == findings.end()) findings.push_back(finding);
        }
    }
};

std::string name_of(pid_t pid, pid_t host) {
    if (pid == host) return "the host";
    auto name = whole_file("/proc/" + std::to_string(pid) + "/comm");
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

/// Programs that hold secrets, and may leave cores; the guardian leaves none.
bool holds_secrets(const std::string& name) {
    return name == "the host" || name == "chaos_worker" || name == "rankexec-rank";
}

std::vector<pid_t> processes_of_group() {
    std::vector<pid_t> found;
    for (const auto& process : all_processes()) {
        if (process.pid == 1 || process.pid == ::getpid() || process.state == 'Z') continue;
        found.push_back(process.pid);
    }
    return found;
}

void search_processes(Search& search, pid_t host, bool environments) {
    for (const pid_t pid : processes_of_group()) {
        const auto name = name_of(pid, host);
        const auto folder = "/proc/" + std::to_string(pid);
        search.look("the command line of " + name, whole_file(folder + "/cmdline"));
        if (environments || pid == host || name == "chaos_worker") {
            search.look("the environment of " + name, whole_file(folder + "/environ"));
        }
        if (!holds_secrets(name)) continue;
        const auto look = [&](const Mapping& mapping, std::string_view piece) {
            search.look("memory of " + name + " " + (mapping.name.empty() ? "anonymous" : mapping.name), piece);
        };
        read_memory(
            pid, [](const Mapping& mapping) { return mapping.dumped; }, look);
    }
}

void search_logs(Search& search) {
    for (const auto& entry : fs::recursive_directory_iterator(kLogs)) {
        if (entry.is_regular_file()) search.look("log " + entry.path().string(), whole_file(entry.path()));
    }
}

std::string core_settings(pid_t pid) {
    const auto folder = "/proc/" + std::to_string(pid);
    std::istringstream limits(whole_file(folder + "/limits"));
    std::string line;
    while (std::getline(limits, line) && !line.starts_with("Max core")) {
    }
    // Whoever is not dumpable belongs to root in /proc (PR_SET_DUMPABLE(2const)).
    struct stat status {};
    ::stat((folder + "/environ").c_str(), &status);
    return line + " filter " + whole_file(folder + "/coredump_filter") + " owner " + std::to_string(status.st_uid);
}

std::string check_core_settings(pid_t host) {
    for (const pid_t pid : processes_of_group()) {
        const auto name = name_of(pid, host);
        if (pid != host && name != "chaos_worker") continue;
        if (core_settings(pid) != core_settings(::getpid()))
            return "core settings of " + name + ": " + core_settings(pid);
    }
    return {};
}

/// Whether a process that aborts leaves a file in its working directory.
bool cores_come_here() {
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    const auto pattern = whole_file("/proc/sys/kernel/core_pattern");
    return limit.rlim_cur == RLIM_INFINITY && pattern.starts_with("core");
}

void allow_cores() {
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_CORE, &limit);
    ::mkdir(kCores, 0700);
    if (::chdir(kCores) != 0) throw std::runtime_error(kCores);
}

/// One of the processes that hold secrets is aborted; its core is searched.
std::string search_core(Search& search, SecretHost& host, Dice& dice) {
    std::vector<pid_t> candidates;
    for (const pid_t pid : processes_of_group()) {
        if (holds_secrets(name_of(pid, host.pid()))) candidates.push_back(pid);
    }
    // The host as often as one of all the others.
    const pid_t victim = dice.roll(3) == 0 ? host.pid() : dice.pick(candidates);
    const auto name = name_of(victim, host.pid());
    // Launchers end with the signal of the rank, and what they have to pass on is in their dumps.
    for (const pid_t pid : processes_of_group()) {
        const rlimit none{0, RLIM_INFINITY};
        if (pid != victim) ::prlimit(pid, RLIMIT_CORE, &none, nullptr);
    }
    ::kill(victim, SIGABRT);
    if (victim == host.pid()) host.end();
    const auto gone = [&] { return ::kill(victim, 0) != 0; };
    if (!eventually(milliseconds(20'000), gone)) return name + " does not end";
    if (victim != host.pid()) host.end();
    int cores = 0;
    for (const auto& entry : fs::directory_iterator(kCores)) {
        ++cores;
        const auto core = whole_file(entry.path());
        if (core.size() < 10'000) return "a core of " + std::to_string(core.size()) + " bytes";
        search.look("the core of " + name, core);
    }
    return cores == 0 ? "no core of " + name : "";
}

std::string find_secrets(const RoundOptions& round, SecretHost& host, Dice& dice, Outcome& outcome) {
    if (!host.ready()) return "the host is not ready: " + whole_file(std::string(kLogs) + "/host");
    const auto credentials = take_credentials(round.ranks);
    const auto run_secret = find_run_secret(host.pid(), credentials.front().secret);
    if (!run_secret) return "the run's secret is not in pages that are kept out of core dumps";
    Search search;
    search.needles.add("the run's secret", bytes_of(*run_secret));
    for (int rank = 0; rank < round.ranks; ++rank) {
        for (const auto role : {PeerRole::rank, PeerRole::shim}) {
            const auto peer = PeerCredentials::derive(*run_secret, role, rank);
            search.needles.add(peer.user_name() + "'s secret", bytes_of(peer.secret));
        }
    }
    // What would be found nowhere proves nothing.
    if (search.needles.in(credentials.front().to_text()).empty())
        return "the search does not find a bootstrap's secret";
    // Only what comes through the environment is in one.
    const bool environments = credentials.front().ports.empty();
    search_processes(search, host.pid(), environments);
    auto wrong = check_core_settings(host.pid());
    const bool cores = cores_come_here();
    if (wrong.empty() && cores) wrong = search_core(search, host, dice);
    host.end();
    search_logs(search);
    outcome.figures["core_dumps"] = cores ? 1 : 0;
    return wrong.empty() ? joined(search.findings) : wrong;
}

}  // namespace

int secrets_host(const RoundOptions& round) {
    auto options = group_options(round);
    options.group.log_directory = kLogs;
    options.on_output = [](int, rankexec::wire::OutputStream, std::string_view text) { std::cerr << text; };
    rankexec::MultiProcessExecutor executor(options);
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) {
        std::cerr << ready.error().describe() << "\n";
        return 1;
    }
    (void)executor.execute("work", {}, context, {});
    char letter = 'R';
    if (::write(STDOUT_FILENO, &letter, 1) != 1) return 1;
    while (::read(STDIN_FILENO, &letter, 1) > 0) {
    }
    executor.finalise();
    return 0;
}

Outcome secrets(const RoundOptions& round) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // They keep copies of the stack, map most of the address space, and forbid core dumps.
    return {};
#endif
    Dice dice(round.seed);
    for (const char* folder : {kLogs, kCredentials}) ::mkdir(folder, 0700);
    allow_cores();
    const Surroundings before;
    Outcome outcome;
    {
        SecretHost host(round);
        outcome.wrong = find_secrets(round, host, dice, outcome);
    }
    if (before.wait_until_clean(milliseconds(5000)) < 0 && outcome.wrong.empty()) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    if (::chdir("/") != 0) outcome.wrong = "chdir";
    for (const char* folder : {kLogs, kCredentials, kCores}) fs::remove_all(folder);
    return outcome;
}

}  // namespace chaos
