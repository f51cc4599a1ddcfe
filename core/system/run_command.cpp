// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/run_command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostOutput = std::size_t{4} << 20U;

tl::unexpected<Failure> failed(const Command& command, ReturnCode code, const std::string& what) {
    Failure failure;
    failure.code = code;
    failure.message = (command.argv.empty() ? std::string("a command") : command.argv.front()) + " " + what;
    return tl::unexpected(std::move(failure));
}

tl::unexpected<Failure> not_started(const Command& command, int error) {
    return failed(command, ReturnCode::launch_error, "cannot be started: " + std::generic_category().message(error));
}

/// As a file in memory: nobody has to feed it.
UniqueFd input_of(const Command& command) {
    if (command.input.empty()) return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    UniqueFd file(::memfd_create("input", MFD_CLOEXEC));
    std::size_t written = 0;
    while (file.valid() && written < command.input.size()) {
        const auto count = ::write(file.get(), command.input.data() + written, command.input.size() - written);
        if (count < 0 && errno != EINTR) return {};
        if (count > 0) written += static_cast<std::size_t>(count);
    }
    if (file.valid()) ::lseek(file.get(), 0, SEEK_SET);
    return file;
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const auto& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
    pointers.push_back(nullptr);
    return pointers;
}

/// A copy above every number that the child's descriptors are put on: dup2 then never is a no-op, which would keep a
/// close-on-exec flag.
UniqueFd moved_up(const UniqueFd& fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)); }

class Running {
public:
    /// An errno value, or 0.
    int start(const Command& command) {
        const auto input = input_of(command);
        std::array<int, 2> out{};
        std::array<int, 2> err{};
        if (!input.valid() || ::pipe2(out.data(), O_CLOEXEC) != 0) return errno;
        output_.reset(out[0]);
        const UniqueFd output_end(out[1]);
        if (::pipe2(err.data(), O_CLOEXEC) != 0) return errno;
        errors_.reset(err[0]);
        const UniqueFd errors_end(err[1]);
        const auto in = moved_up(input);
        const auto to_output = moved_up(output_end);
        const auto to_errors = moved_up(errors_end);
        if (!in.valid() || !to_output.valid() || !to_errors.valid()) return errno;
        return spawn(command, in.get(), to_output.get(), to_errors.get());
    }

    /// Everything that it wrote until both streams ended; false: not in time.
    bool read_all(CommandOutput& result, Clock::time_point deadline) {
        while (output_.valid() || errors_.valid()) {
            std::array<pollfd, 2> polled{pollfd{output_.get(), POLLIN, 0}, pollfd{errors_.get(), POLLIN, 0}};
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
            if (left <= 0) return false;
            const auto ready = ::poll(polled.data(), polled.size(), static_cast<int>(std::min<long>(left, 1 << 30)));
            if (ready < 0 && errno != EINTR) return false;
            if (ready <= 0) continue;
            if (polled[0].revents != 0) read_some(output_, result.output);
            if (polled[1].revents != 0) read_some(errors_, result.errors);
        }
        return true;
    }

    void kill() const { ::kill(-pid_, SIGKILL); }

    ExitStatus wait() const {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0) {
            // The application ignores SIGCHLD: nobody can tell any more.
            if (errno != EINTR) return {};
        }
        if (WIFSIGNALED(status)) return {true, WTERMSIG(status)};
        return {false, WEXITSTATUS(status)};
    }

private:
    int spawn(const Command& command, int input, int output, int errors) {
        posix_spawn_file_actions_t actions{};
        posix_spawnattr_t attributes{};
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
        ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
        ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
        if (!command.directory.empty()) {
            ::posix_spawn_file_actions_addchdir_np(&actions, command.directory.c_str());
        }
        sigset_t signals;
        sigemptyset(&signals);
        ::posix_spawnattr_setsigmask(&attributes, &signals);
        sigfillset(&signals);
        ::posix_spawnattr_setsigdefault(&attributes, &signals);
        ::posix_spawnattr_setflags(
            &attributes, static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
        auto argv = pointers_to(command.argv);
        auto environment = command.environment ? pointers_to(*command.environment) : std::vector<char*>{};
        const int error = ::posix_spawnp(&pid_, argv.front(), &actions, &attributes, argv.data(),
                                         command.environment ? environment.data() : ::environ);
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
        return error;
    }

    static void read_some(UniqueFd& from, std::string& text) {
        std::array<char, 65'536> buffer{};
        const auto count = ::read(from.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) return;
        if (count <= 0) return from.reset();
        const auto room = kMostOutput - std::min(kMostOutput, text.size());
        text.append(buffer.data(), std::min(static_cast<std::size_t>(count), room));
    }

    pid_t pid_ = 0;
    UniqueFd output_;
    UniqueFd errors_;
};

}  // namespace

tl::expected<CommandOutput, Failure> run_command(const Command& command) {
    if (command.argv.empty()) return not_started(command, EINVAL);
    const auto deadline = Clock::now() + command.timeout;
    Running running;
    if (const int error = running.start(command); error != 0) return not_started(command, error);
    CommandOutput result;
    const bool in_time = running.read_all(result, deadline);
    // Also one that has closed its output and goes on: its end is not worth more waiting.
    if (!in_time) running.kill();
    result.exit = running.wait();
    if (in_time) return result;
    return failed(command, ReturnCode::execution_exception,
                  "has not answered within " + std::to_string(command.timeout.count()) + " ms, and was killed");
}

}  // namespace rankexec
