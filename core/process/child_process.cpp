// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/child_process.hpp"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <system_error>

#include <boost/process/child.hpp>
#include <boost/process/error.hpp>
#include <boost/process/extend.hpp>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::process {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

std::string text_of(int error) { return std::generic_category().message(error); }

/// What the child found wrong before it could become the program.
struct SetupError {
    int error = 0;
    std::array<char, 24> step{};
};

/// The step of a program that cannot be executed.
constexpr const char* kExecve = "execve";

/// Turns the forked child into what ChildRequest asks for. Runs between fork and exec: system calls
/// only, no allocation.
class ChildSetup {
public:
    /// The parent reads from `parents_end`.
    ChildSetup(const ChildRequest& request, pid_t parent, int parents_end, int error_pipe)
        : request_(request), parent_(parent), parents_end_(parents_end), error_pipe_(error_pipe) {}

    /// Becomes the program itself.
    [[noreturn]] void run(const char* file, char* const* argv, char* const* environment) const {
        run();
        ::execve(file, argv, environment);
        fail(kExecve);
    }

    void run() const {
        if (::setpgid(0, 0) != 0) fail("setpgid");
        watch_parent();
        reset_signals();
        if (request_.descriptor_limit) ::setrlimit(RLIMIT_NOFILE, &*request_.descriptor_limit);
        if (!request_.directory.empty() && ::chdir(request_.directory.c_str()) != 0) fail("chdir");
        take_descriptors();
    }

private:
    void watch_parent() const {
        if (request_.death_signal == 0) return;
        if (::prctl(PR_SET_PDEATHSIG, request_.death_signal) != 0) fail("PR_SET_PDEATHSIG");
        // The parent may have died before the call above, and then no signal ever comes.
        if (!parent_lives()) ::_exit(127);
    }

    [[nodiscard]] bool parent_lives() const {
        const auto parent = ::getppid();
        if (parent != 0) return parent == parent_;
        // It is outside our PID namespace, and so would be whoever adopts us. Its descriptors are closed
        // before its death signals are sent.
        ::close(parents_end_);
        pollfd pipe{.fd = error_pipe_, .events = 0, .revents = 0};
        return ::poll(&pipe, 1, 0) == 0;
    }

    static void reset_signals() {
        // The bare system call: the C library keeps two signals for itself, which posix_spawn leaves
        // ignored. All zeros is the kernel's structure for the default disposition.
        constexpr std::array<std::uint64_t, 4> kDefault{};
        constexpr std::size_t kMaskBytes = 8;
        for (int signal = 1; signal < NSIG; ++signal) {
            ::syscall(SYS_rt_sigaction, signal, kDefault.data(), nullptr, kMaskBytes);
        }
        sigset_t none;
        sigemptyset(&none);
        ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    }

    void take_descriptors() const {
        if (::dup2(request_.standard_input, STDIN_FILENO) < 0) fail("dup2");
        if (::dup2(request_.standard_output, STDOUT_FILENO) < 0) fail("dup2");
        if (::dup2(request_.standard_error, STDERR_FILENO) < 0) fail("dup2");
        for (const int fd : request_.inherited) {
            if (::fcntl(fd, F_SETFD, 0) != 0) fail("fcntl");
        }
    }

    [[noreturn]] void fail(const char* step) const {
        SetupError failure;
        failure.error = errno;
        std::strncpy(failure.step.data(), step, failure.step.size() - 1);
        [[maybe_unused]] const auto written = ::write(error_pipe_, &failure, sizeof failure);
        ::_exit(127);
    }

    const ChildRequest& request_;
    pid_t parent_;
    int parents_end_;
    int error_pipe_;
};

/// Hands Boost.Process the program as it is: its own ways to set arguments and environment change
/// argv[0] and read our environment.
struct ProgramHandler : boost::process::extend::handler {
    ProgramHandler(const char* file, char* const* argv, char** environment, const ChildSetup& setup)
        : file_(file), argv_(argv), environment_(environment), setup_(setup) {}

    template <typename BoostExecutor>
    void on_setup(BoostExecutor& executor) const {
        executor.exe = file_;
        executor.cmd_line = argv_;
        executor.env = environment_;
    }
    template <typename BoostExecutor>
    void on_exec_setup(BoostExecutor&) const {
        setup_.run();
    }

private:
    const char* file_;
    char* const* argv_;
    char** environment_;
    const ChildSetup& setup_;
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> result;
    result.reserve(texts.size() + 1);
    for (const auto& text : texts) result.push_back(const_cast<char*>(text.c_str()));
    result.push_back(nullptr);
    return result;
}

/// fork, with the child in that cgroup from the beginning. Nothing when there is none, the kernel does not know how, or
/// we may not: the child is then forked as usual, and moved there later.
std::optional<pid_t> fork_into(int control_group) {
    if (control_group < 0) return std::nullopt;
    clone_args arguments{};
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<std::uint64_t>(control_group);
    const auto pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    return pid < 0 ? std::nullopt : std::optional(static_cast<pid_t>(pid));
}

/// Waits until the child has become the program, or has said why not.
std::optional<SetupError> await_program(int reader) {
    pollfd ready{.fd = reader, .events = POLLIN, .revents = 0};
    while (::poll(&ready, 1, -1) < 0 && errno == EINTR) {
    }
    SetupError failure;
    const bool failed = ::read(reader, &failure, sizeof failure) == static_cast<ssize_t>(sizeof failure);
    return failed ? std::optional(failure) : std::nullopt;
}

tl::unexpected<StartError> not_executed(const std::string& file, int error) {
    const bool there = error == ENOENT && ::access(file.c_str(), F_OK) == 0;
    return tl::make_unexpected(
        StartError{error, "cannot start '" + file + "': " +
                              (there ? "it is there, but not what it needs: the interpreter that its first line (#!) "
                                       "names, or its loader"
                                     : text_of(error))});
}

/// fork and exec; the error is that of execve, or of the setup before it.
tl::expected<pid_t, StartError> spawn(const ChildRequest& request, const std::string& file,
                                      const std::vector<std::string>& argv) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
        return tl::make_unexpected(StartError{errno, "cannot start '" + file + "': no pipe: " + text_of(errno)});
    }
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    const ChildSetup setup(request, ::getpid(), reader.get(), writer.get());
    auto arguments = pointers(argv);
    auto environment = pointers(request.environment);
    auto pid = fork_into(request.control_group);
    if (pid == 0) setup.run(file.c_str(), arguments.data(), environment.data());
    if (!pid) {
        std::error_code error;
        boost::process::child child(ProgramHandler(file.c_str(), arguments.data(), environment.data(), setup), error);
        if (error) return not_executed(file, error.value());
        pid = child.id();
        child.detach();
    }
    writer.reset();
    const auto failure = await_program(reader.get());
    if (!failure) return *pid;
    std::string step = failure->step.data();
    if (step == kExecve) return not_executed(file, failure->error);
    const bool directory = step == "chdir";
    if (directory) step = "working directory '" + request.directory + "'";
    return tl::make_unexpected(StartError{directory ? 0 : failure->error,
                                          "cannot start '" + file + "': " + step + ": " + text_of(failure->error)});
}

bool is_executable_file(const std::string& path) { return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0; }

}  // namespace

tl::expected<std::string, StartError> find_executable(const std::string& name, const Environment& environment,
                                                      const std::string& directory) {
    if (name.empty()) return tl::make_unexpected(StartError{ENOENT, "cannot start a program without a name"});
    if (name.find('/') != std::string::npos) return name;
    auto path = variable(environment, "PATH");
    if (path.empty()) path = kDefaultPath;
    int error = ENOENT;
    for (auto rest = path; !rest.empty() || rest.data() != nullptr;) {
        const auto end = rest.find(':');
        std::string file(rest.substr(0, end));
        if (file.empty()) file = ".";
        file.append("/").append(name);
        const bool relative = file.front() != '/' && !directory.empty();
        auto place = file;
        if (relative) place.insert(0, "/").insert(0, directory);
        if (is_executable_file(place)) return file;
        if (errno == EACCES) error = EACCES;
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    return tl::make_unexpected(StartError{error, "cannot start '" + name +
                                                     "': " + (error == EACCES ? "not executable" : "not found") +
                                                     " in PATH (" + std::string(path) + ")"});
}

tl::expected<pid_t, StartError> start_child(const ChildRequest& request) {
    if (request.argv.empty()) return tl::make_unexpected(StartError{ENOENT, "cannot start an empty command"});
    const auto file = request.file.empty()
                          ? find_executable(request.argv.front(), request.environment, request.directory)
                          : request.file;
    if (!file) return tl::make_unexpected(file.error());
    auto started = spawn(request, *file, request.argv);
    if (started || started.error().error != ENOEXEC) return started;
    // A script without "#!" line: the shell runs it, as execvp would have it.
    std::vector<std::string> argv = request.argv;
    argv.front() = *file;
    argv.insert(argv.begin(), "sh");
    return spawn(request, "/bin/sh", argv);
}

}  // namespace rankexec::process
