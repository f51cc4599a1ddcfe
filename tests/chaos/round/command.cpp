// SPDX-License-Identifier: Apache-2.0
#include "command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <stdexcept>

namespace chaos {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

namespace {

/// Beyond this, nobody is interested in what was before.
constexpr std::size_t kKept = std::size_t{1} << 20U;

}  // namespace

Command::Command(const std::vector<std::string>& arguments, bool reading) : reading_(reading) {
    int output[2];
    int errors[2];
    if (::pipe2(output, O_CLOEXEC) != 0 || ::pipe2(errors, O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    std::vector<std::string> words{"rankexec"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
        ::dup2(output[1], STDOUT_FILENO);
        ::dup2(errors[1], STDERR_FILENO);
        ::execv(CHAOS_COMMAND, argv.data());
        ::_exit(127);
    }
    ::close(output[1]);
    ::close(errors[1]);
    output_fd_ = output[0];
    error_fd_ = errors[0];
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
}

Command::~Command() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    for (const int fd : {output_fd_, error_fd_, pidfd_}) ::close(fd);
}

void Command::signal(int number) const { ::kill(pid_, number); }

bool Command::read_some(milliseconds longest) {
    std::array<pollfd, 3> polls{pollfd{reading_ ? output_fd_ : -1, POLLIN, 0}, pollfd{error_fd_, POLLIN, 0},
                                pollfd{pidfd_, POLLIN, 0}};
    if (::poll(polls.data(), polls.size(), static_cast<int>(longest.count())) <= 0) return true;
    bool any = false;
    std::array<char, 65536> buffer;
    for (auto& [poll, text] : {std::pair(polls[0], &output_), std::pair(polls[1], &errors_)}) {
        if ((poll.revents & (POLLIN | POLLHUP)) == 0) continue;
        const auto size = ::read(poll.fd, buffer.data(), buffer.size());
        if (text->size() > kKept) text->clear();
        if (size > 0) text->append(buffer.data(), static_cast<std::size_t>(size));
        any = any || size > 0;
    }
    return any || (polls[2].revents & POLLIN) == 0;
}

bool Command::wait_for_lines(std::size_t count) {
    const auto deadline = Clock::now() + std::chrono::seconds(30);
    while (lines_of(output_) < count) {
        if (!read_some(milliseconds(1000)) || Clock::now() > deadline) return false;
    }
    return true;
}

std::optional<int> Command::wait(milliseconds limit) {
    const auto deadline = Clock::now() + limit;
    while (read_some(milliseconds(100))) {
        if (Clock::now() > deadline) return std::nullopt;
    }
    int status = 0;
    if (::waitpid(pid_, &status, 0) != pid_) return std::nullopt;
    pid_ = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::size_t lines_of(const std::string& text) { return static_cast<std::size_t>(std::ranges::count(text, '\n')); }

}  // namespace chaos
