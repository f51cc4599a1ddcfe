// SPDX-License-Identifier: Apache-2.0
//
// exchange_peer agent|exchanger [NAME=VALUE...]
//
// One side of an exchange, in a process of its own, for tests that kill it. Every line that it writes is written at
// once, to standard output, and to the end of the file `ledger` if that is named, which all processes share.
//
// agent: takes tasks until its executor says bye. A task is a map with `number` and `nonce`; its result is the same
// with the sum of both. Lines: `agent up`, then `got NUMBER ID`, `ok NUMBER ID` or `no NUMBER ID ERROR`.
// exchanger: executes tasks from the number after the last one in the ledger (from 1) up to `count`. Lines:
// `exchanger up`, then `begin NUMBER`, and `done NUMBER`, `failed NUMBER CODE` or `wrong NUMBER` (not its result);
// `exchanger meets` when there is nothing to do, and it only waits for its agent (`meet`).
//
// Names: base, address (agent: where it listens), key, ledger, count, work (most milliseconds that a task takes),
// die (a step: the process kills itself there), at (at which time it comes there, 1), meet (milliseconds that an
// exchanger with nothing to do waits for its agent, to say bye to it), and time-outs by their names.
// Steps: agent: up, got, work, submit (a moment after it began), ok; exchanger: up, begin (a moment after), done.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "rankexec/core/executor/outside/ipc_exchanger.hpp"
#include "rankexec/worker/agent/agent.hpp"

namespace {

using namespace rankexec;
using std::chrono::milliseconds;

class Arguments {
public:
    Arguments(int argc, char** argv) {
        for (int index = 2; index < argc; ++index) {
            const std::string argument = argv[index];
            const auto equals = argument.find('=');
            values_[argument.substr(0, equals)] = equals == std::string::npos ? "" : argument.substr(equals + 1);
        }
    }
    [[nodiscard]] std::string text(const std::string& name, const std::string& otherwise = "") const {
        const auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }
    [[nodiscard]] long number(const std::string& name, long otherwise) const {
        return std::atol(text(name, std::to_string(otherwise)).c_str());
    }
    void set(const std::string& name, milliseconds& value) const { value = milliseconds(number(name, value.count())); }

private:
    std::map<std::string, std::string> values_;
};

class Peer {
public:
    explicit Peer(const Arguments& arguments)
        : arguments_(arguments), random_(static_cast<unsigned>(::getpid())), step_(arguments.text("die")) {
        if (const auto path = arguments.text("ledger"); !path.empty()) {
            ledger_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            if (ledger_ < 0) std::exit(3);
        }
    }

    void say(const std::string& words) const {
        while (doomed_) ::pause();
        const auto line = words + "\n";
        if (ledger_ >= 0 && ::write(ledger_, line.data(), line.size()) < 0) std::exit(3);
        if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) std::exit(3);
    }
    void reach(const std::string& step) {
        if (step == step_ && ++reached_ == arguments_.number("at", 1)) std::raise(SIGKILL);
    }
    /// Ends the process in a moment, at whatever it is doing then; it comes no further than to what it says next.
    void reach_soon(const std::string& step) {
        if (step != step_ || ++reached_ != arguments_.number("at", 1)) return;
        doomed_ = true;
        std::thread([delay = std::chrono::microseconds(below(3000))] {
            std::this_thread::sleep_for(delay);
            std::raise(SIGKILL);
        }).detach();
    }
    void work() {
        const auto longest = arguments_.number("work", 0);
        if (longest > 0) std::this_thread::sleep_for(std::chrono::microseconds(below(longest * 1000)));
    }
    [[nodiscard]] std::int64_t below(std::int64_t limit) {
        return std::uniform_int_distribution<std::int64_t>(0, limit)(random_);
    }

private:
    const Arguments& arguments_;
    std::mt19937_64 random_;
    const std::string step_;
    long reached_ = 0;
    bool doomed_ = false;
    int ledger_ = -1;
};

std::int64_t of(const Value& body, const char* name) {
    const auto* const value = body.find(name);
    return value != nullptr ? value->integer_or(-1) : -1;
}

int run_agent(const Arguments& arguments) {
    Peer peer(arguments);
    agent::AttachOptions options;
    options.site = "site";
    options.id = "agent";
    options.base_folder = arguments.text("base");
    options.listen = arguments.text("address");
    options.key_file = arguments.text("key");
    arguments.set("connection_timeout", options.connection_timeout);
    arguments.set("submit_timeout", options.submit_timeout);
    arguments.set("resend_interval", options.resend_interval);
    auto attached = agent::attach(options);
    if (!attached) {
        std::fprintf(stderr, "%s\n", attached.error().message.c_str());
        return 4;
    }
    auto& agent = **attached;
    peer.say("agent up");
    peer.reach("up");
    while (agent.is_running()) {
        auto task = agent.get_task(std::chrono::seconds(60));
        if (!task) break;
        if (!*task) continue;
        const auto number = of((*task)->input.body, "number");
        const auto name = std::to_string(number) + " " + (*task)->id;
        peer.say("got " + name);
        peer.reach("got");
        peer.work();
        Shareable result;
        result.body = (*task)->input.body;
        result.body["sum"] = number + of((*task)->input.body, "nonce");
        peer.reach("work");
        peer.reach_soon("submit");
        auto submitted = agent.submit_result(result);
        while (!submitted && submitted.error().kind == agent::AgentError::Kind::not_delivered) {
            peer.say("again " + name);
            submitted = agent.submit_result(result);
        }
        peer.say(submitted ? "ok " + name : "no " + name + " " + std::string(to_string(submitted.error().kind)));
        peer.reach("ok");
    }
    peer.say("agent down");
    return 0;
}

long last_number(const std::string& path) {
    std::ifstream ledger(path);
    long last = 0;
    std::string line;
    while (std::getline(ledger, line)) {
        if (line.rfind("begin ", 0) == 0) last = std::max(last, std::atol(line.c_str() + 6));
    }
    return last;
}

void await_agent(const IpcExchanger& exchanger, milliseconds patience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (exchanger.report().state != ExchangerState::idle && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(milliseconds(1));
    }
}

int run_exchanger(const Arguments& arguments) {
    Peer peer(arguments);
    IpcExchangerOptions options;
    options.site = "site";
    options.agent_id = "agent";
    options.base_folder = arguments.text("base");
    options.address = arguments.text("address");
    options.key_file = arguments.text("key");
    options.max_attempts = static_cast<int>(arguments.number("max_attempts", 10));
    arguments.set("send_timeout", options.send_timeout);
    arguments.set("resend_interval", options.resend_interval);
    arguments.set("heartbeat_interval", options.heartbeat_interval);
    arguments.set("disconnected_after", options.disconnected_after);
    arguments.set("dead_after", options.dead_after);
    IpcExchanger exchanger(options);
    Context context;
    if (const auto begun = exchanger.initialise(context); !begun) {
        std::fprintf(stderr, "%s\n", begun.error().message.c_str());
        return 4;
    }
    peer.say("exchanger up");
    peer.reach("up");
    const auto count = arguments.number("count", 1);
    auto number = last_number(arguments.text("ledger")) + 1;
    if (const milliseconds patience(arguments.number("meet", 0)); number > count && patience.count() > 0) {
        peer.say("exchanger meets");
        await_agent(exchanger, patience);
    }
    for (; number <= count; ++number) {
        Shareable input;
        input.body["number"] = static_cast<std::int64_t>(number);
        input.body["nonce"] = peer.below(1'000'000'000);
        const auto name = std::to_string(number);
        peer.say("begin " + name);
        peer.reach_soon("begin");
        const auto reply = exchanger.execute("add", input, context, {});
        const bool own = of(reply.body, "number") == number && of(reply.body, "nonce") == of(input.body, "nonce") &&
                         of(reply.body, "sum") == number + of(input.body, "nonce");
        if (!reply.ok()) {
            peer.say("failed " + name + " " + std::string(to_string(reply.code)));
        } else {
            peer.say((own ? "done " : "wrong ") + name);
        }
        peer.reach("done");
    }
    exchanger.finalise();
    peer.say("exchanger down");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const Arguments arguments(argc, argv);
    const std::string side = argc > 1 ? argv[1] : "";
    if (side == "agent") return run_agent(arguments);
    if (side == "exchanger") return run_exchanger(arguments);
    return 2;
}
