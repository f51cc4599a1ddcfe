// SPDX-License-Identifier: Apache-2.0
//
// no_leftovers [OPTION...] [--] PROGRAM [ARGUMENT...]
//
// Runs a test and fails it when it leaves something behind: a process, a file in a directory for
// temporary files, or System V IPC. Prefix of every ctest case, so it has to start in milliseconds.
//
// The test runs in namespaces of its own, so that what it leaves can be told from what other
// programs on the machine do, whatever it is called, and vanishes with them:
//   as root           PID, mount and IPC namespaces
//   as ordinary user  the same inside a user namespace in which the user keeps its ids
//   where neither is permitted: a subreaper that all its orphans come to, and a TMPDIR of its own;
//                     then only processes and files below TMPDIR are accounted for
// Sockets need no check of their own: what no process holds is gone, but for its file in a directory.
//
//   --keep PATH       a path below a private directory that stays visible, such as a build folder
//   --searchable      other users can get to the kept paths too (needs root): above them, a directory that does
//                     not let others in, such as a home, is replaced by an empty one
//   --ignore PATTERN  name (as fnmatch) of something in a private directory that may stay
//   --private-net     a network namespace of its own too, with the loopback device up (needs root);
//                     no device may be left in it, and names of network namespaces are private
//   --reports         sanitizers write their reports, of whichever process, to files that count as left
//                     behind: a rank may be killed, and a guardian's exit code is not the test's
//   --no-aslr         no address space randomisation, which old thread sanitizers cannot cope with
//   --no-namespaces   as where namespaces are not permitted
//   --settle MS       how long processes may take to be gone after the test has ended (2000)
//
// Exits as the test did (with the same signal, if that is how it ended); with 97 when it succeeded but
// left something behind, 98 when the harness itself failed, 126 or 127 when it could not be started, 77
// when it needs namespaces that are not permitted.
#include <fcntl.h>
#include <fnmatch.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kSkipped = 77;
constexpr int kLeftBehind = 97;
constexpr int kHarnessFailed = 98;
constexpr const char* kReportName = "sanitizer-report";

struct Options {
    std::vector<fs::path> keep;
    std::vector<std::string> ignore;
    bool searchable = false;
    bool private_net = false;
    bool reports = false;
    bool no_aslr = false;
    bool no_namespaces = false;
    std::chrono::milliseconds settle{2000};
    char** command = nullptr;
};

/// How far the test is kept apart from the rest of the machine.
enum class Isolation { namespaces, user_namespace, none };

/// What the supervising process tells the one that ctest started.
struct Report {
    bool isolated = false;  ///< false: this isolation is not permitted here, try the next one
    int status = 0;         ///< of the test, as from waitpid
    bool left_behind = false;
};

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "no_leftovers: %s: %s\n", what.c_str(), std::generic_category().message(errno).c_str());
    _exit(kHarnessFailed);
}

Options parse(char** arguments) {
    Options options;
    const auto value = [&] {
        if (arguments[1] == nullptr) {
            std::fprintf(stderr, "no_leftovers: %s needs a value\n", arguments[0]);
            _exit(kHarnessFailed);
        }
        return *++arguments;
    };
    for (; *arguments != nullptr && (*arguments)[0] == '-'; ++arguments) {
        const std::string name = *arguments;
        if (name == "--") {
            ++arguments;
            break;
        } else if (name == "--keep") {
            options.keep.push_back(fs::path(value()).lexically_normal());
        } else if (name == "--ignore") {
            options.ignore.emplace_back(value());
        } else if (name == "--searchable") {
            options.searchable = true;
        } else if (name == "--private-net") {
            options.private_net = true;
        } else if (name == "--reports") {
            options.reports = true;
        } else if (name == "--no-aslr") {
            options.no_aslr = true;
        } else if (name == "--no-namespaces") {
            options.no_namespaces = true;
        } else if (name == "--settle") {
            options.settle = std::chrono::milliseconds(std::atoi(value()));
        } else {
            std::fprintf(stderr, "no_leftovers: unknown option %s\n", name.c_str());
            _exit(kHarnessFailed);
        }
    }
    if (*arguments == nullptr) {
        std::fprintf(stderr, "no_leftovers: no program given\n");
        _exit(kHarnessFailed);
    }
    options.command = arguments;
    return options;
}

// --- isolation -----------------------------------------------------------------------------------

bool write_file(const char* path, const std::string& text) {
    std::ofstream file(path);
    file << text;
    file.close();
    return !file.fail();
}

/// The user keeps its ids inside the new user namespace; after exec it has no capability there.
bool map_own_ids(uid_t uid, gid_t gid) {
    const auto map = [](unsigned id) { return std::to_string(id) + " " + std::to_string(id) + " 1\n"; };
    return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", map(uid)) &&
           write_file("/proc/self/gid_map", map(gid));
}

/// An empty file system over `directory`, in which the kept paths show what they showed before.
bool make_private(const fs::path& directory, mode_t mode, const std::vector<fs::path>& keep) {
    struct Kept {
        fs::path path;
        int fd;
    };
    std::vector<Kept> kept;
    for (const auto& path : keep) {
        const auto inside = path.lexically_relative(directory);
        if (inside.empty() || *inside.begin() == "..") continue;
        if (const int fd = open(path.c_str(), O_PATH | O_CLOEXEC | O_DIRECTORY); fd >= 0) kept.push_back({path, fd});
    }
    char data[32];
    std::snprintf(data, sizeof data, "mode=%o", mode);
    if (mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, data) != 0) return false;
    for (const auto& [path, fd] : kept) {
        std::error_code error;
        fs::create_directories(path, error);
        const auto source = "/proc/self/fd/" + std::to_string(fd);
        if (error || mount(source.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return false;
        close(fd);
    }
    return true;
}

bool bring_loopback_up() {
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0) close(fd);
    return up;
}

/// Directories for temporary files that exist here and are neither links nor below one another.
std::vector<fs::path> temporary_directories() {
    std::vector<fs::path> found;
    for (const char* path : {"/tmp", "/var/tmp", "/dev/shm", "/run/user"}) {
        struct stat status {};
        if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode)) found.emplace_back(path);
    }
    return found;
}

/// The way to `path` without what does not let others pass.
bool make_searchable(const fs::path& path, const std::vector<fs::path>& keep) {
    fs::path directory;
    for (const auto& part : path.parent_path()) {
        directory /= part;
        struct stat status {};
        if (stat(directory.c_str(), &status) != 0) return false;
        if ((status.st_mode & S_IXOTH) == 0 && !make_private(directory, 0755, keep)) return false;
    }
    return true;
}

/// Runs in the new namespaces. What it makes private is listed in `directories`.
bool enter_isolation(const Options& options, std::vector<fs::path>& directories) {
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
    for (const auto& directory : temporary_directories()) {
        const mode_t mode = directory == "/run/user" ? 0755 : 01777;
        if (!make_private(directory, mode, options.keep)) return false;
        directories.push_back(directory);
    }
    for (const auto& path : options.keep) {
        if (options.searchable && !make_searchable(path, options.keep)) return false;
    }
    if (options.private_net) {
        // `ip netns add` leaves its names in this directory, which it would make itself.
        std::error_code error;
        fs::create_directories("/run/netns", error);
        if (!make_private("/run/netns", 0755, {}) || !bring_loopback_up()) return false;
        directories.emplace_back("/run/netns");
    }
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return false;
    unsetenv("TMPDIR");
    if (const char* runtime = std::getenv("XDG_RUNTIME_DIR")) {
        const auto own = "/run/user/" + std::to_string(getuid());
        if (mkdir(own.c_str(), 0700) != 0)
            unsetenv("XDG_RUNTIME_DIR");
        else if (own != runtime)
            setenv("XDG_RUNTIME_DIR", own.c_str(), 1);
    }
    return true;
}

/// Without namespaces: a directory for temporary files, and every orphan becomes our child.
std::string enter_own_directory() {
    char path[] = "/tmp/test.XXXXXX";
    if (mkdtemp(path) == nullptr) fail("mkdtemp");
    // A test that runs a part as another user makes folders for it below.
    if (chmod(path, 0711) != 0) fail("chmod");
    setenv("TMPDIR", path, 1);
    unsetenv("XDG_RUNTIME_DIR");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) fail("PR_SET_CHILD_SUBREAPER");
    return path;
}

void send_reports_to(const std::string& directory) {
    for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
        const char* given = std::getenv(name);
        const std::string options = (given != nullptr && *given != '\0') ? std::string(given) + ":" : "";
        setenv(name, (options + "log_exe_name=1:log_path=" + directory + "/" + kReportName).c_str(), 1);
    }
}

// --- what is left --------------------------------------------------------------------------------

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    for (char& c : line) {
        if (c == '\0') c = ' ';
    }
    return line;
}

std::string whole_text(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Process {
    pid_t pid = 0;
    pid_t parent = 0;
    std::string text;
};

std::vector<Process> all_processes() {
    std::vector<Process> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator("/proc", error)) {
        const std::string name = entry.path().filename();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const std::string stat = first_line(entry.path() / "stat");
        const auto end_of_name = stat.rfind(')');
        if (end_of_name == std::string::npos) continue;
        Process process;
        process.pid = std::atoi(name.c_str());
        char state = '?';
        std::sscanf(stat.c_str() + end_of_name + 1, " %c %d", &state, &process.parent);
        const std::string command = first_line(entry.path() / "cmdline");
        process.text = "process " + name + " (parent " + std::to_string(process.parent) + ", state " + state +
                       "): " + (command.empty() ? stat.substr(0, end_of_name + 1) : command);
        found.push_back(std::move(process));
    }
    return found;
}

/// Everything that descends from this process; in a PID namespace of our own that is all there is.
std::vector<Process> descendants() {
    const auto all = all_processes();
    std::vector<pid_t> family{getpid()};
    std::vector<Process> found;
    for (std::size_t i = 0; i < family.size(); ++i) {
        for (const auto& process : all) {
            if (process.parent != family[i] || process.pid == family[i]) continue;
            family.push_back(process.pid);
            found.push_back(process);
        }
    }
    return found;
}

bool starts_with(const fs::path& path, const fs::path& beginning) {
    return std::mismatch(beginning.begin(), beginning.end(), path.begin(), path.end()).first == beginning.end();
}

void find_files(const fs::path& directory, const Options& options, std::vector<std::string>& left) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(directory, error)) {
        const auto& path = entry.path();
        bool expected = false;
        bool holds_kept = false;
        for (const auto& kept : options.keep) {
            if (kept == path)
                expected = true;
            else if (starts_with(kept, path))
                holds_kept = true;
        }
        for (const auto& pattern : options.ignore) {
            if (fnmatch(pattern.c_str(), path.filename().c_str(), 0) == 0) expected = true;
        }
        if (expected) continue;
        if (holds_kept || directory == "/run/user")
            find_files(path, options, left);
        else
            left.push_back((entry.is_socket(error)      ? "socket "
                            : entry.is_directory(error) ? "directory "
                                                        : "file ") +
                           path.string());
        if (path.filename().string().starts_with(kReportName)) left.back() += "\n" + whole_text(path);
    }
}

void find_ipc(std::vector<std::string>& left) {
    for (const char* kind : {"shm", "sem", "msg"}) {
        std::ifstream file(std::string("/proc/sysvipc/") + kind);
        std::string line;
        std::getline(file, line);
        while (std::getline(file, line)) left.push_back(std::string("System V ") + kind + ": " + line);
    }
}

void find_devices(std::vector<std::string>& left) {
    std::ifstream file("/proc/net/dev");
    std::string line;
    std::getline(file, line);
    std::getline(file, line);
    while (std::getline(file, line)) {
        const auto name = line.substr(0, line.find(':'));
        if (name.substr(name.find_first_not_of(' ')) != "lo") left.push_back("network device" + name);
    }
}

// --- the process that supervises the test --------------------------------------------------------

sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
    return set;
}

[[noreturn]] void become_test(const Options& options, const sigset_t& original_mask, bool end_with_parent) {
    setsid();  // so that a signal to its process group stays with it
    if (end_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (options.no_aslr) personality(ADDR_NO_RANDOMIZE);
    pthread_sigmask(SIG_SETMASK, &original_mask, nullptr);
    execvp(options.command[0], options.command);
    const int reason = errno;
    std::fprintf(stderr, "no_leftovers: cannot start %s: %s\n", options.command[0],
                 std::generic_category().message(reason).c_str());
    _exit(reason == ENOENT ? 127 : 126);
}

/// Reaps whatever has ended. True when no child is left; `status` is set once `main_pid` is among them.
bool reap(pid_t main_pid, std::optional<int>& status) {
    for (;;) {
        int ended = 0;
        const pid_t pid = waitpid(-1, &ended, WNOHANG | __WALL);
        if (pid == 0) return false;
        if (pid < 0) return errno == ECHILD;
        if (pid == main_pid) status = ended;
    }
}

/// Waits until the test has ended, passing signals on to it.
int wait_for_test(pid_t main_pid) {
    const sigset_t signals = handled_signals();
    std::optional<int> status;
    while (!status) {
        const int signal = sigwaitinfo(&signals, nullptr);
        if (signal < 0) continue;
        if (signal == SIGCHLD)
            reap(main_pid, status);
        else
            kill(main_pid, signal);
    }
    return *status;
}

/// Waits, within bounds, until every process of the test is gone.
bool wait_for_stragglers(std::chrono::milliseconds limit) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    const auto deadline = Clock::now() + limit;
    std::optional<int> ignored;
    while (!reap(-1, ignored)) {
        const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline - Clock::now()).count();
        if (left <= 0) return false;
        const timespec time{left / 1'000'000'000, left % 1'000'000'000};
        sigtimedwait(&child, nullptr, &time);
    }
    return true;
}

/// Kills what is left, again and again, because what forks in a loop comes back.
void kill_stragglers() {
    for (int round = 0; round < 100; ++round) {
        for (const auto& process : descendants()) kill(process.pid, SIGKILL);
        if (wait_for_stragglers(std::chrono::milliseconds(10))) return;
    }
}

/// The life of the supervising process. With namespaces it is process 1 of the test's.
[[noreturn]] void supervise(const Options& options, Isolation isolation, uid_t uid, gid_t gid, int report_fd,
                            const sigset_t& original_mask) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pollfd parent{report_fd, 0, 0};
    if (poll(&parent, 1, 0) > 0) _exit(kHarnessFailed);  // it ended before it could be watched
    setsid();  // the terminal's signals come once, from the process that ctest started
    std::vector<fs::path> directories;
    std::string own_directory;
    Report report;
    if (isolation == Isolation::none) {
        own_directory = enter_own_directory();
    } else if ((isolation == Isolation::user_namespace && !map_own_ids(uid, gid)) ||
               !enter_isolation(options, directories)) {
        _exit(write(report_fd, &report, sizeof report) == sizeof report ? 0 : kHarnessFailed);
    }
    report.isolated = true;
    if (options.reports) send_reports_to(own_directory.empty() ? "/tmp" : own_directory);

    const pid_t test = fork();
    if (test < 0) fail("fork");
    if (test == 0) become_test(options, original_mask, isolation == Isolation::none);
    report.status = wait_for_test(test);

    std::vector<std::string> left;
    if (!wait_for_stragglers(options.settle)) {
        for (const auto& process : descendants()) left.push_back(process.text);
        kill_stragglers();
    }
    for (const auto& directory : directories) find_files(directory, options, left);
    if (isolation == Isolation::none) {
        find_files(own_directory, options, left);
        std::error_code error;
        fs::remove_all(own_directory, error);
    } else {
        find_ipc(left);
        if (options.private_net) find_devices(left);
    }
    report.left_behind = !left.empty();
    for (const auto& what : left) std::fprintf(stderr, "no_leftovers: left behind: %s\n", what.c_str());
    _exit(write(report_fd, &report, sizeof report) == sizeof report ? 0 : kHarnessFailed);
}

// --- the process that ctest started --------------------------------------------------------------

/// Starts the supervising process, in new namespaces if asked for. -1 where that is not permitted.
pid_t start_supervisor(const Options& options, Isolation isolation, int report_fd, const sigset_t& original_mask) {
    const uid_t uid = getuid();
    const gid_t gid = getgid();
    unsigned long flags = SIGCHLD;
    if (isolation != Isolation::none) flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC;
    if (isolation == Isolation::user_namespace) flags |= CLONE_NEWUSER;
    if (options.private_net) flags |= CLONE_NEWNET;
    const auto pid = static_cast<pid_t>(syscall(SYS_clone, flags, nullptr, nullptr, nullptr, nullptr));
    if (pid == 0) supervise(options, isolation, uid, gid, report_fd, original_mask);
    return pid;
}

/// Waits for the supervising process, passing signals on to it.
std::optional<Report> wait_for_report(pid_t supervisor, int report_fd) {
    const sigset_t signals = handled_signals();
    for (;;) {
        const int signal = sigwaitinfo(&signals, nullptr);
        if (signal < 0) continue;
        if (signal != SIGCHLD) {
            kill(supervisor, signal);
        } else if (waitpid(supervisor, nullptr, WNOHANG) == supervisor) {
            break;
        }
    }
    Report report;
    if (read(report_fd, &report, sizeof report) != sizeof report) return std::nullopt;
    return report;
}

[[noreturn]] void exit_like(const Report& report) {
    if (WIFSIGNALED(report.status)) {
        const int signal = WTERMSIG(report.status);
        const rlimit none{0, 0};
        setrlimit(RLIMIT_CORE, &none);
        std::signal(signal, SIG_DFL);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, signal);
        pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
        raise(signal);
        _exit(128 + signal);
    }
    const int code = WEXITSTATUS(report.status);
    _exit(code == 0 && report.left_behind ? kLeftBehind : code);
}

}  // namespace

int main(int /*argc*/, char** argv) {
    const Options options = parse(argv + 1);
    const sigset_t signals = handled_signals();
    sigset_t original_mask;
    pthread_sigmask(SIG_BLOCK, &signals, &original_mask);
    for (const auto isolation : {Isolation::namespaces, Isolation::user_namespace, Isolation::none}) {
        if (isolation == Isolation::none && options.private_net) break;
        if (isolation != Isolation::none && options.no_namespaces) continue;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
        const pid_t supervisor = start_supervisor(options, isolation, ends[1], original_mask);
        close(ends[1]);
        if (supervisor >= 0) {
            const auto report = wait_for_report(supervisor, ends[0]);
            if (!report) {
                std::fprintf(stderr, "no_leftovers: the supervising process was killed\n");
                return kHarnessFailed;
            }
            if (report->isolated) exit_like(*report);
        }
        close(ends[0]);
    }
    std::fprintf(stderr, "no_leftovers: skipped: this test needs namespaces, which need root here\n");
    return kSkipped;
}
