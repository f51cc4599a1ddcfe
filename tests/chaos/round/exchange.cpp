// SPDX-License-Identifier: Apache-2.0
// An agent and its exchanger, real processes, are killed and cut off from each other at random while thousands of
// tasks go between them. What both have written into one ledger is counted in the end.
#include <fcntl.h>
#include <net/if.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>

#include "rankexec/core/system/unique_fd.hpp"
#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr int kTasks = 10'000;
constexpr int kFewest = 150;
/// For both to say that they are done, when nothing disturbs them any more.
constexpr milliseconds kEnd{60'000};

/// For an exchanger whose predecessor was killed at its last task to meet the agent: bye is said to who is there.
constexpr int kMeet = 5'000;

/// One of the two, started again and again.
class Side {
public:
    explicit Side(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {}
    ~Side() {
        if (pid_ > 0) kill();
    }
    Side(const Side&) = delete;
    Side& operator=(const Side&) = delete;

    void start() {
        std::vector<char*> argv;
        for (auto& argument : arguments_) argv.push_back(argument.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        const int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
        posix_spawn_file_actions_destroy(&actions);
        if (error != 0) throw std::runtime_error(std::string("cannot start ") + argv[0] + ": " + std::strerror(error));
    }
    void kill() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    /// Its exit code, once it has ended by itself.
    std::optional<int> ended() {
        int status = 0;
        if (pid_ < 0 || ::waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    std::vector<std::string> arguments_;
    pid_t pid_ = -1;
};

/// The loopback device of this network namespace, which is the round's own.
void set_network(bool up) {
    const rankexec::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    ::ioctl(socket.get(), SIOCGIFFLAGS, &request);
    const int flags = request.ifr_flags;
    request.ifr_flags = static_cast<short>(up ? flags | IFF_UP : flags & ~IFF_UP);
    if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) throw std::runtime_error("the network cannot be cut");
}

/// What the ledger says, in its order.
struct Account {
    std::string wrong;
    int done = 0;
    int failed = 0;
    int open = 0;     ///< their exchanger was killed
    int given = 0;    ///< to programs, the same one again included
    int refused = 0;  ///< results that came too late

    void expect(bool holds, const std::string& what) {
        if (!holds && wrong.empty()) wrong = what;
    }
};

/// Whether the last exchanger has found nothing to do. It only wants to say bye, and is left in peace.
bool nothing_is_left(const std::string& path) {
    constexpr std::streamoff kTail = 4096;  // some lines of an agent may follow
    std::ifstream file(path, std::ios::ate);
    file.seekg(std::max(std::streamoff{0}, static_cast<std::streamoff>(file.tellg()) - kTail));
    bool left = true;
    for (std::string line; std::getline(file, line);) {
        if (line == "exchanger up") left = true;
        if (line == "exchanger meets") left = false;
    }
    return !left;
}

Account count(const std::string& path, long tasks) {
    Account account;
    std::ifstream file(path);
    long current = 0;  // begun, and without an outcome
    long last = 0;
    std::set<long> done;
    std::set<long> failed;
    std::set<long> got;
    std::set<long> taken;
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string word;
        long number = 0;
        words >> word >> number;
        if (word == "begin") {
            account.expect(current == 0, line + " while " + std::to_string(current) + " is open");
            account.expect(number == last + 1, line + " after " + std::to_string(last));
            current = last = number;
        } else if (word == "done" || word == "failed") {
            account.expect(number == current, line + ", but " + std::to_string(current) + " is open");
            account.expect(word == "failed" || got.contains(number), line + ", but nobody has worked on it");
            current = 0;
            (word == "done" ? done : failed).insert(number);
        } else if (word == "wrong") {
            account.expect(false, line + ": the result of another task");
        } else if (line == "exchanger up" && current != 0) {
            ++account.open;
            current = 0;
        } else if (word == "got") {
            got.insert(number);
            ++account.given;
        } else if (word == "ok") {
            account.expect(taken.insert(number).second, line + ", for the second time");
        } else if (word == "no") {
            ++account.refused;
        }
    }
    for (const long number : taken) {
        account.expect(!failed.contains(number),
                       "task " + std::to_string(number) + " has failed, and its result was taken");
    }
    account.done = static_cast<int>(done.size());
    account.failed = static_cast<int>(failed.size());
    account.expect(last == tasks && current == 0, "the last task is " + std::to_string(last));
    account.expect(account.done + account.failed + account.open == tasks, "not all tasks are accounted for");
    return account;
}

}  // namespace

Outcome exchange(const RoundOptions& round) {
    const bool cuts = round.variant == "cuts" || round.variant == "all";
    const bool agents = round.variant == "agent" || round.variant == "both" || round.variant == "all";
    const bool exchangers = round.variant == "exchanger" || round.variant == "both" || round.variant == "all";
    const int tasks = std::max(kFewest, static_cast<int>(kTasks * round.scale));
    std::string base = std::filesystem::temp_directory_path() / "rxc-XXXXXX";
    if (::mkdtemp(base.data()) == nullptr) return Outcome::failed("no folder");
    const auto ledger = base + "/ledger";
    std::vector<std::string> common{
        "base=" + base,         "ledger=" + ledger,      "count=" + std::to_string(tasks), "work=2",
        "connection_timeout=0", "heartbeat_interval=50", "disconnected_after=400",         "send_timeout=200",
        "resend_interval=100",  "submit_timeout=300",    "meet=" + std::to_string(kMeet)};
    if (cuts) {
        common.push_back("address=127.0.0.1:7400");
        common.push_back("key=" + base + "/key");
    }
    const auto side = [&](const char* name) {
        std::vector<std::string> arguments{CHAOS_EXCHANGE_PEER, name};
        arguments.insert(arguments.end(), common.begin(), common.end());
        return arguments;
    };
    Side agent(side("agent"));
    Side exchanger(side("exchanger"));
    agent.start();
    if (cuts && !eventually(milliseconds(10'000), [&] { return std::filesystem::exists(base + "/key"); })) {
        return Outcome::failed("no key");
    }
    exchanger.start();
    Dice dice(round.seed);
    double restarts = 0;
    double times_cut = 0;
    std::optional<int> exit;
    const auto begin = Clock::now();
    while (!(exit = exchanger.ended())) {
        if (nothing_is_left(ledger)) {
            if (eventually(kEnd, [&] { return (exit = exchanger.ended()).has_value(); })) break;
            return Outcome::failed("the exchanger has nothing to do, and has not ended");
        }
        // Between a fraction of a task and several connections.
        ::usleep(static_cast<useconds_t>(dice.up_to(milliseconds(dice.roll(4) == 0 ? 400 : 60)).count()));
        const int what = dice.roll(3);
        if (what == 0 && agents) {
            agent.kill();
            agent.start();
            ++restarts;
        } else if (what == 1 && exchangers && !(exit = exchanger.ended())) {
            exchanger.kill();
            exchanger.start();
            ++restarts;
        } else if (what == 2 && cuts) {
            set_network(false);
            // Shorter and longer than the time-outs above.
            ::usleep(static_cast<useconds_t>(dice.up_to(milliseconds(dice.roll(8) == 0 ? 900 : 100)).count()));
            set_network(true);
            ++times_cut;
        }
        if (exit) break;
    }
    Outcome outcome;
    const auto account = count(ledger, tasks);
    outcome.wrong = account.wrong;
    if (!exchangers && account.refused > 0) {
        outcome.wrong =
            std::to_string(account.refused) + " results were refused, though their exchanger was there all the time";
    }
    if (*exit != 0) outcome.wrong = "the exchanger has ended with code " + std::to_string(*exit);
    std::optional<int> agent_exit;
    if (!eventually(agents ? milliseconds(2'000) : kEnd, [&] { return (agent_exit = agent.ended()).has_value(); })) {
        // Killed as the bye was on its way: the next process knows of none.
        if (!agents) outcome.wrong = "the agent has not ended after the bye";
    } else if (*agent_exit != 0) {
        outcome.wrong = "the agent has ended with code " + std::to_string(*agent_exit);
    }
    std::error_code ignored;
    if (outcome.wrong.empty()) std::filesystem::remove_all(base, ignored);
    outcome.figures = {
        {"done_tasks", account.done},   {"failed_tasks", account.failed},      {"open_tasks", account.open},
        {"given_tasks", account.given}, {"refused_results", account.refused},  {"restarts_times", restarts},
        {"cuts_times", times_cut},      {"took_ms", milliseconds_since(begin)}};
    return outcome;
}

}  // namespace chaos
