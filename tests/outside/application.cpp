// SPDX-License-Identifier: Apache-2.0
// An application that knows rankexec only as it is installed: it starts a group of its own worker,
// executes a task on it, takes events of its ranks, and ends it. Then it launches a program that is none of ours.
#include <rankexec/core/component/configuration_error.hpp>
#include <rankexec/core/component/engine.hpp>
#include <rankexec/core/executor/multi_process_executor.hpp>
#include <rankexec/core/executor/outside/launcher_executor.hpp>
#include <rankexec/core/executor/outside/subprocess_launcher.hpp>

#include <iostream>
#include <memory>

namespace {

class Listener : public rankexec::Component {
public:
    void handle_event(const std::string& type, rankexec::Context& context) override {
        if (type != "halfway") return;
        ++seen;
        context.set("greeting", "from the application");
    }
    int seen = 0;  // relayed events are handled one at a time, and execute() returns after them
};

int fail(const std::string& what) {
    std::cerr << "outside application: " << what << '\n';
    return 1;
}

int run(const std::string& worker, const std::string& launcher) {
    constexpr int kRanks = 2;
    rankexec::MultiProcessOptions options;
    options.group.world_size = kRanks;
    options.group.program = {worker};
    options.group.launcher = launcher;
    options.components = {{.id = "adder", .type = "adder", .args = {{"start", 40}}}};
    options.executor_id = "adder";

    rankexec::Engine engine;
    auto& listener = static_cast<Listener&>(engine.add("listener", std::make_unique<Listener>()));
    auto& executor = static_cast<rankexec::MultiProcessExecutor&>(
        engine.add("group", std::make_unique<rankexec::MultiProcessExecutor>(std::move(options))));

    auto context = engine.new_context();
    if (const auto ready = executor.initialise(context); !ready) return fail(ready.error().describe());

    rankexec::Shareable input;
    input.body["add"] = 2;
    const auto answer = executor.execute("add", input, context, rankexec::Signal(), {.all_results = true});
    executor.finalise();

    if (!answer.reply.ok()) {
        return fail(answer.reply.failure ? answer.reply.failure->describe() : "the task failed");
    }
    if (answer.results.size() != kRanks) return fail("not every rank gave a result");
    for (int rank = 0; rank < kRanks; ++rank) {
        const auto* sum = answer.results[static_cast<std::size_t>(rank)].body.find("sum");
        if (sum == nullptr || sum->integer_or(0) != 42 + rank) return fail("a wrong result");
    }
    if (listener.seen != kRanks) return fail("not every rank's event arrived");
    if (answer.reply.body.find("greeting") == nullptr) return fail("no answer to the event reached rank 0");
    std::cout << "sum=" << answer.reply.body.find("sum")->integer_or(0) << " events=" << listener.seen << '\n';
    return 0;
}

int launch() {
    rankexec::SubprocessLauncherOptions options;
    options.command = {"/bin/false"};
    rankexec::LauncherExecutor executor(std::make_shared<rankexec::SubprocessLauncher>(options));
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return fail(ready.error().describe());
    const auto reply = executor.execute("train", {}, context, {});
    if (!reply.failure || reply.failure->exit != rankexec::ExitStatus{false, 1}) return fail("its end was not told");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) return fail("usage: application WORKER [LAUNCHER]");
    try {
        if (const int code = run(argv[1], argc == 3 ? argv[2] : "local"); code != 0) return code;
        return launch();
    } catch (const rankexec::ConfigurationError& error) {
        return fail(error.what());
    }
}
