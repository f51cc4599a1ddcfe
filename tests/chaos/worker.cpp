// SPDX-License-Identifier: Apache-2.0
// A rank that works, dies or will not go, as it is told.
//   task "nothing"   answers
//   task "master_port"  says where the ranks would meet
//   task "work"      computes for a moment
//   task "block"     waits for its abort
//   task "spin"      computes until its abort
//   task "die"       rank `rank` dies, `how`; the others do what `others` says: "block" or "spin"
//   task "die_later" rank `rank` dies some milliseconds after it has answered
//   task "stubborn"  does what no rank should, by `how`, and never returns
//   task "hang"     the ranks `ranks` never return, `how`; the others do
//   task "large"     answers with a tensor
//   task "memory"    rank `rank` does to shared memory what no rank should, by `how`
//   event "chaos.die" as the task "die"
// CHAOS_CREDENTIALS=FOLDER: a copy of the rank's bootstrap is left there, under the rank's number.
// CHAOS_DIE=PHASE:RANK:HOW in the environment: dies before its hello ("hello") or while its component is
// built ("init"). The moment of a death is left in the file CHAOS_STAMP, in nanoseconds of the monotonic
// clock.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

#include "memory_abuse.hpp"
#include "rankexec/core/component/executor.hpp"
#include "rankexec/worker/worker.hpp"
#include "stamp.hpp"

namespace {

using namespace rankexec;

[[noreturn]] void die(const std::string& how) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    chaos::leave_stamp();
    if (how == "exit0") ::_exit(0);
    if (how == "exit3") ::_exit(3);
    if (how == "abort") std::abort();
    if (how == "segv") ::raise(SIGSEGV);
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
}

void die_if_meant(const std::string& phase) {
    const char* text = std::getenv("CHAOS_DIE");
    const char* rank = std::getenv("RANK");
    if (text == nullptr || rank == nullptr) return;
    const auto beginning = phase + ":" + rank + ":";
    if (std::string(text).starts_with(beginning)) die(std::string(text).substr(beginning.size()));
}

void spin_until(const Signal& abort) {
    volatile unsigned sum = 0;
    while (!abort.triggered()) {
        for (unsigned step = 0; step < 20'000; ++step) sum = sum + step;
    }
}

/// A grandchild that belongs to nobody; of a session of its own on request.
void leave_daemon(bool own_session) {
    const pid_t child = ::fork();
    if (child != 0) return;
    if (own_session) ::setsid();
    if (::fork() != 0) ::_exit(0);
    std::signal(SIGTERM, SIG_IGN);
    for (;;) ::pause();
}

/// A name to look for in stacks.
[[noreturn, gnu::noinline]] void hang_here(const std::string& how) {
    volatile bool never = false;
    while (how == "spin" && !never) {
    }
    std::condition_variable changed;
    std::mutex other;
    std::unique_lock waiting(other);
    while (how == "lock") changed.wait(waiting);
    for (;;) ::pause();
}

[[noreturn]] void be_stubborn(const std::string& how) {
    if (how == "ignore") std::signal(SIGTERM, SIG_IGN);
    if (how == "double_fork") leave_daemon(false);
    if (how == "setsid") leave_daemon(true);
    chaos::leave_stamp();
    if (how == "stopped") ::kill(::getpid(), SIGSTOP);
    while (how == "fork_loop") {
        // Each child goes on where its parent ends; none lives for long.
        if (::fork() > 0) ::_exit(0);
        ::setsid();
        std::signal(SIGTERM, SIG_IGN);
    }
    for (;;) ::pause();
}

/// `how`: "scribble", "seals", "mute", or "die" or "die_event" and the number of steps.
Shareable abuse_memory(const std::string& how, const Shareable& input) {
    Shareable reply;
    if (how == "scribble") chaos::scribble(static_cast<std::uint64_t>(input.header("seed")->integer_or(0)));
    if (how == "seals") reply.headers["managed"] = chaos::break_seals();
    if (how == "mute") chaos::stop_reading();
    for (const std::string_view way : {"die_event", "die"}) {
        if (how.starts_with(way)) chaos::die_while_writing(std::stoi(how.substr(way.size())), way == "die_event");
    }
    return reply;
}

class ChaosWorker : public Executor {
public:
    explicit ChaosWorker(const Value::Map&) { die_if_meant("init"); }

    void handle_event(const std::string& type, Context& context) override {
        if (type == "chaos.die" && context.integer_or("victim", -1) == context.integer_or("rank", -2)) {
            die(context.text_or("how", ""));
        }
        if (type == "chaos") context.set("seen", true);
    }

    Shareable large() const {
        auto buffer = allocate(DType::uint8, {100'000});
        std::fill(buffer.bytes().begin(), buffer.bytes().end(), std::byte{1});
        Shareable reply;
        reply.tensors.emplace("large", std::move(buffer).finish());
        return reply;
    }

    Shareable fire_some(Context& context) {
        for (int event = 0; event < 50; ++event) {
            context.set("text", std::string(static_cast<std::size_t>(event) * 100, 'x'));
            if (event % 10 == 9) {
                fire_event("chaos", context);
            } else {
                fire_one_way("chaos", context);
            }
        }
        context.remove("text");
        return {};
    }

    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override {
        const auto header = [&](const char* name) {
            const auto* value = input.header(name);
            return value != nullptr ? value->text_or("") : std::string();
        };
        const auto* victim = input.header("rank");
        const bool meant = victim != nullptr && victim->integer_or(-1) == context.integer_or("rank", -2);
        if (task == "nothing") return {};
        if (task == "large") return large();
        if (task == "events") return fire_some(context);
        if (task == "memory") return meant ? abuse_memory(header("how"), input) : Shareable();
        if (task == "master_port") {
            Shareable reply;
            const char* port = std::getenv("MASTER_PORT");
            reply.headers["port"] = port != nullptr ? port : "";
            return reply;
        }
        if (task == "work") {
            volatile unsigned sum = 0;
            for (unsigned step = 0; step < 500'000; ++step) sum = sum + step;
        } else if (task == "die_later") {
            if (meant) {
                std::thread([how = header("how")] {
                    std::this_thread::sleep_for(std::chrono::milliseconds(5));
                    die(how);
                }).detach();
            }
        } else if (task == "hang") {
            for (const auto& rank : *input.header("ranks")->if_array()) {
                if (rank.integer_or(-1) == context.integer_or("rank", -2)) hang_here(header("how"));
            }
        } else if (task == "stubborn") {
            be_stubborn(header("how"));
        } else {
            if (task == "die" && meant) die(header("how"));
            if (task == "spin" || header("others") == "spin") {
                spin_until(abort);
            } else {
                (void)abort.wait_for(std::chrono::seconds(60));
            }
        }
        return {};
    }
};

/// Without a copy in this process's memory, which is searched for it.
void leave_credentials() {
    const char* folder = std::getenv("CHAOS_CREDENTIALS");
    const char* bootstrap = std::getenv("RANKEXEC_BOOTSTRAP_FD");
    const char* rank = std::getenv("RANK");
    if (folder == nullptr || bootstrap == nullptr || rank == nullptr) return;
    const int file =
        ::open((std::string(folder) + "/" + rank).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    off_t from = 0;
    while (::sendfile(file, std::atoi(bootstrap), &from, 1U << 20U) > 0) {
    }
    ::close(file);
}

}  // namespace

int main() {
    leave_credentials();
    die_if_meant("hello");
    ComponentRegistry registry;
    registry.add<ChaosWorker>("chaos_worker");
    return worker::run(registry);
}
