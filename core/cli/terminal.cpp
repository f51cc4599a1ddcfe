// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace rankexec::cli {

void open_closed_standard_streams() noexcept {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) >= 0) continue;
        // The lowest free number is this one. Read-only as standard output: writing goes on to fail.
        (void)::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    }
}

bool same_file(int left, int right) noexcept {
    struct stat first {};
    struct stat second {};
    return ::fstat(left, &first) == 0 && ::fstat(right, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

void write_while_taken(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        pollfd poll{fd, POLLOUT, 0};
        if (::poll(&poll, 1, 0) != 1) return;
        // So much a pipe that is ready takes in one piece.
        const auto written = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
        if (written < 0) return;
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

std::pair<std::size_t, std::size_t> terminal_size(int fd) noexcept {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return {24, 80};
    return {size.ws_row, size.ws_col};
}

}  // namespace rankexec::cli
