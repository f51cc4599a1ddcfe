// SPDX-License-Identifier: Apache-2.0
// `rankexec launch` as the first process of a PID namespace, as in a container. It adopts what others leave
// behind there, and none of it may stay a zombie.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>

#include "command.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr int kGroupsOfARound = 10;
constexpr milliseconds kLimit{20'000};
constexpr milliseconds kReapTime{1000};

/// `rankexec launch` as process 1 of a new PID namespace, which has a /proc of its own. Its ranks leave
/// orphans and then live until its standard input ends.
class FirstProcess {
public:
    FirstProcess() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return;
        input_ = ends[1];
        // Only children land in the namespace that a process makes.
        helper_ = ::fork();
        if (helper_ == 0) {
            close_input();  // the helper lives as long as the command
            become_command(ends[0]);
        }
        ::close(ends[0]);
    }
    ~FirstProcess() {
        close_input();
        if (helper_ > 0) (void)wait();
    }
    FirstProcess(const FirstProcess&) = delete;
    FirstProcess& operator=(const FirstProcess&) = delete;

    /// The command's pid out here, once it runs; 0: it does not.
    pid_t pid() const {
        pid_t found = 0;
        (void)eventually(kLimit, [&] {
            for (const auto& process : all_processes()) {
                if (process.parent == helper_ && process.command.starts_with("rankexec")) found = process.pid;
            }
            return found != 0;
        });
        return found;
    }
    void close_input() {
        if (input_ >= 0) ::close(input_);
        input_ = -1;
    }
    int wait() {
        int status = 0;
        while (::waitpid(helper_, &status, 0) < 0 && errno == EINTR) {
        }
        helper_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    [[noreturn]] static void become_command(int input) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(99);
        const auto command = ::fork();
        if (command == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
            ::mount("proc", "/proc", "proc", 0, nullptr);
            ::dup2(input, STDIN_FILENO);
            const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
            ::dup2(nothing, STDOUT_FILENO);
            ::execl(CHAOS_COMMAND, "rankexec", "launch", "-n", "2", "--stdin", "all", "--", "sh", "-c",
                    "for i in 1 2 3; do (sh -c 'setsid true & true' &); done; cat", nullptr);
            ::_exit(127);
        }
        int status = 0;
        while (::waitpid(command, &status, 0) < 0 && errno == EINTR) {
        }
        ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }

    pid_t helper_ = 0;
    int input_ = -1;
};

/// Processes that enter the namespace from outside, as `docker exec` does, and leave orphans there.
void make_orphans(pid_t first, int count) {
    const auto entering = ::fork();
    if (entering == 0) {
        const int name_space = ::open(("/proc/" + std::to_string(first) + "/ns/pid").c_str(), O_RDONLY | O_CLOEXEC);
        if (::setns(name_space, CLONE_NEWPID) != 0) ::_exit(1);
        const auto middle = ::fork();
        if (middle == 0) {
            for (int orphan = 0; orphan < count; ++orphan) {
                if (::fork() == 0) {
                    ::usleep(static_cast<useconds_t>(500 * orphan));
                    ::_exit(0);
                }
            }
            ::_exit(0);
        }
        ::waitpid(middle, nullptr, 0);
        ::_exit(0);
    }
    ::waitpid(entering, nullptr, 0);
}

std::vector<std::string> zombies_of(const std::vector<pid_t>& parents) {
    std::vector<std::string> found;
    for (const auto& process : all_processes()) {
        if (process.state == 'Z' && std::ranges::find(parents, process.parent) != parents.end()) {
            found.push_back(std::to_string(process.pid) + " " + process.command);
        }
    }
    return found;
}

/// The command, and its guardian as soon as there is one.
std::vector<pid_t> reapers(pid_t first) {
    std::vector<pid_t> found{first};
    for (const auto& process : all_processes()) {
        if (process.parent == first && process.command.starts_with("rankexec-guardian")) found.push_back(process.pid);
    }
    return found;
}

bool ranks_are_up(pid_t first) {
    const auto parents = reapers(first);
    int ranks = 0;
    for (const auto& process : all_processes()) {
        if (process.command.starts_with("cat") && std::ranges::find(parents, process.parent) != parents.end()) ++ranks;
        if (process.command.starts_with("sh -c for") && std::ranges::find(parents, process.parent) != parents.end()) {
            ++ranks;
        }
    }
    return ranks >= 2;
}

bool is_permitted() {
    const auto child = ::fork();
    if (child == 0) ::_exit(::unshare(CLONE_NEWPID | CLONE_NEWNS) == 0 ? 0 : 1);
    int status = 0;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

std::string one_group(Dice& dice, double& reaped_ms) {
    FirstProcess first;
    const auto pid = first.pid();
    if (pid == 0) return "the command did not start, exit code " + std::to_string(first.wait());
    if (!eventually(kLimit, [&] { return ranks_are_up(pid); })) return "the ranks did not start";
    make_orphans(pid, 1 + dice.roll(8));
    const auto begin = Clock::now();
    if (!eventually(kReapTime, [&] { return zombies_of(reapers(pid)).empty(); })) {
        return "zombies: " + joined(zombies_of(reapers(pid)));
    }
    reaped_ms = std::max(reaped_ms, milliseconds_since(begin));
    first.close_input();
    const int code = first.wait();
    return code == 0 ? std::string() : "exit code " + std::to_string(code);
}

}  // namespace

Outcome process_1(const RoundOptions& round) {
    Dice dice(round.seed);
    const Surroundings before;
    Outcome outcome;
    if (!is_permitted()) return {{}, {{"left_out_rounds", 1}}};
    for (int group = 0; group < kGroupsOfARound && outcome.wrong.empty(); ++group) {
        outcome.wrong = one_group(dice, outcome.figures["reaped_ms"]);
    }
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(1000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
