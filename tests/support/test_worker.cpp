// SPDX-License-Identifier: Apache-2.0
// A worker whose executor does on request what a user's code might do.
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rankexec/core/component/executor.hpp"
#include "rankexec/worker/worker.hpp"

namespace {

using namespace rankexec;

/// The rank that a task's header names; -1: every rank.
bool is_meant(const Shareable& input, const Context& context) {
    const auto* rank = input.header("rank");
    return rank == nullptr || rank->integer_or(-1) == -1 || rank->integer_or(-1) == context.integer_or("rank", -2);
}

/// A name to look for in stacks.
[[gnu::noinline]] void hang_on_purpose() {
    for (;;) ::pause();
}

/// Reads where nothing is, in a way that no compiler sees through.
void read_nowhere() {
    volatile std::uintptr_t nowhere = 16;
    (void)*reinterpret_cast<volatile int*>(nowhere);
}

[[gnu::noinline]] int overflow_stack(volatile int* depth) {
    volatile char room[4096];
    *depth = *depth + 1;
    room[0] = static_cast<char>(*depth);
    return *depth < 0 ? 0 : overflow_stack(depth) + room[0];
}

void crash(const std::string& how) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    std::cerr << "about to crash\n" << std::flush;
    if (how == "abort") std::abort();
    if (how == "terminate") std::terminate();
    if (how == "overflow") {
        volatile int depth = 0;
        overflow_stack(&depth);
    }
    if (how == "thread") std::thread(read_nowhere).join();
    if (how == "own_handler") std::signal(SIGSEGV, [](int) { ::_exit(42); });
    read_nowhere();
}

/// The first one's exception makes the other throw, and only then is caught itself.
[[noreturn]] void throw_slowly(bool first, const Value& fifo) {
    struct Unwinding {
        std::string path;
        ~Unwinding() {
            ::close(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    };
    if (first) {
        const Unwinding unwinding{fifo.text_or("")};
        throw std::runtime_error("the first");
    }
    const int reader = ::open(fifo.text_or("").c_str(), O_RDONLY | O_CLOEXEC);
    char nothing = 0;
    (void)!::read(reader, &nothing, 1);
    ::close(reader);
    throw std::runtime_error("a consequence");
}

/// Waits until the test has closed this rank's FIFO.
[[noreturn]] void throw_when_let(const Value& fifos, std::int64_t rank) {
    const auto path = fifos.text_or("") + std::to_string(rank);
    const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char nothing = 0;
    (void)!::read(reader, &nothing, 1);
    ::close(reader);
    throw std::runtime_error("everyone fails");
}

class TestExecutor : public Executor {
public:
    explicit TestExecutor(const Value::Map& args) {
        if (const auto found = args.find("fail"); found != args.end()) {
            std::cerr << "about to refuse\n" << std::flush;
            throw std::invalid_argument(found->second.text_or("refused"));
        }
        if (const auto found = args.find("die_on_rank"); found != args.end()) {
            const char* rank = std::getenv("RANK");
            if (rank != nullptr && std::atoi(rank) == found->second.integer_or(-1)) ::_exit(9);
        }
    }

    void handle_event(const std::string& type, Context& context) override {
        const auto rank = context.integer_or("rank", -1);
        if (type == "start_run") ++start_runs_;
        if (type == "parent.ask") {
            context.set("answer", "from rank " + std::to_string(rank));
            context.remove("question");
        }
        if (type == "parent.nest" && rank == 0) {
            const auto level = context.integer_or("level", 0);
            context.set("level", level + 1);
            fire_event("rank.nest", context);
        }
        if (type == "parent.count") ++counted_;
        if (type == "parent.counted") context.set("counted", counted_.load());
        if (type == "end_run") {
            const auto last_words = context.integer_or("last_words", 0);
            for (std::int64_t number = 0; number < last_words; ++number) {
                context.set("number", number);
                context.set("sender", rank);
                fire_one_way("rank.metric", context);
            }
            if (const char* file = std::getenv("TEST_END_RUN_FILE")) {
                if (FILE* out = std::fopen((std::string(file) + "." + std::to_string(rank)).c_str(), "w"))
                    std::fclose(out);
            }
        }
    }

    Shareable execute(const std::string& task, const Shareable& input, Context& context, const Signal& abort) override {
        const auto rank = context.integer_or("rank", -1);
        if (task == "echo") {
            Shareable reply = input;
            reply.headers["rank"] = rank;
            reply.headers["world_size"] = context.integer_or("world_size", -1);
            reply.headers["start_runs"] = start_runs_;
            context.set("last_rank", rank);
            context.set("by_rank_" + std::to_string(rank), rank);
            return reply;
        }
        if (task == "build") {
            auto buffer = allocate(DType::float64, {input.header("elements")->integer_or(0)});
            const auto elements = buffer.elements<double>();
            for (std::size_t index = 0; index < elements.size(); ++index) {
                elements[index] = static_cast<double>(index) + static_cast<double>(rank) / 2;
            }
            Shareable reply;
            reply.tensors.emplace("built", std::move(buffer).finish());
            return reply;
        }
        const bool meant = is_meant(input, context);
        if (task == "throw") {
            if (meant) {
                std::cerr << "about to throw\n" << std::flush;
                throw std::runtime_error("user code failed on purpose");
            }
            (void)abort.wait_for(std::chrono::seconds(60));
            return {};
        }
        if (task == "throw_text") throw std::string("just a text");
        if (task == "throw_nested") {
            try {
                throw std::runtime_error("the inner one");
            } catch (...) {
                std::throw_with_nested(std::logic_error("the outer one"));
            }
        }
        if (task == "crash_at_end") {
            static const struct AtEnd {
                ~AtEnd() { std::raise(SIGSEGV); }
            } kAtEnd;
            return {};
        }
        if (task == "bad_reply") {
            if (meant) return Shareable::failed(ReturnCode::bad_task_data, "input is not to my taste");
            return {};
        }
        if (task == "die") {
            if (meant) {
                std::cerr << "about to die\n" << std::flush;
                const auto how = input.header("signal")->integer_or(0);
                if (how != 0) ::kill(::getpid(), static_cast<int>(how));
                ::_exit(static_cast<int>(input.header("code")->integer_or(0)));
            }
            (void)abort.wait_for(std::chrono::seconds(60));
            return {};
        }
        if (task == "wait_for_abort") {
            (void)abort.wait_for(std::chrono::seconds(60));
            Shareable reply;
            reply.headers["reason"] = abort.reason();
            return reply;
        }
        if (task == "hang") {
            if (const auto* spared = input.header("not_on"); spared != nullptr && spared->integer_or(-1) == rank)
                return {};
            std::cout << "hanging\n" << std::flush;
            hang_on_purpose();
        }
        if (task == "crash") {
            if (meant) crash(input.header("how")->text_or(""));
            (void)abort.wait_for(std::chrono::seconds(60));
            return {};
        }
        if (task == "throw_slowly") throw_slowly(rank == input.header("first")->integer_or(-1), *input.header("fifo"));
        if (task == "throw_all") throw_when_let(*input.header("fifos"), rank);
        if (task == "fire") {
            fire_metrics(input, rank, context);
            Shareable reply;
            reply.headers["seen"] = context.integer_or("seen", -1);
            return reply;
        }
        if (task == "fire_from_threads") {
            std::vector<std::jthread> threads;
            for (std::int64_t thread = 0; thread < 4; ++thread) {
                threads.emplace_back([&, thread] {
                    auto own = context.clone();
                    fire_metrics(input, rank + 100 * thread, own);
                });
            }
            return {};
        }
        if (task == "fire_finalise") {
            if (rank == 0) fire_event("finalise.now", context);
            (void)abort.wait_for(std::chrono::seconds(60));
            return {};
        }
        if (task == "deep_result") {
            Shareable reply;
            for (int level = 0; level < 100'000; ++level) {
                Value::Array outer;
                outer.push_back(std::move(reply.body));
                reply.body = std::move(outer);
            }
            return reply;
        }
        if (task == "large_result") {
            Shareable reply;
            if (meant) reply.body = std::string(std::size_t{17} << 20U, 'x');
            return reply;
        }
        if (task == "print") {
            std::cout << "out of rank " << rank << "\n" << std::flush;
            std::cerr << "err of rank " << rank << "\n" << std::flush;
            return {};
        }
        return Shareable::failed(ReturnCode::task_unknown, "no such task: " + task);
    }

private:
    /// With headers: "one_way"; "large_every": so many events after each other, the next has that many "bytes".
    void fire_metrics(const Shareable& input, std::int64_t sender, Context& context) {
        const auto header = [&](const char* name, std::int64_t otherwise) {
            const auto* const value = input.header(name);
            return value != nullptr ? value->integer_or(otherwise) : otherwise;
        };
        const auto every = header("large_every", 0);
        for (std::int64_t number = 0; number < header("count", 1); ++number) {
            context.set("number", number);
            context.set("sender", sender);
            context.remove("large");
            if (every > 0 && number % every == every - 1) {
                context.set("large", std::string(static_cast<std::size_t>(header("bytes", 0)), 'x'));
            }
            if (header("one_way", 0) != 0) {
                fire_one_way("rank.metric", context);
            } else {
                fire_event("rank.metric", context);
            }
        }
    }

    std::int64_t start_runs_ = 0;
    std::atomic<std::int64_t> counted_{0};
};

class NoExecutor : public Component {};

}  // namespace

int main() {
    ComponentRegistry registry;
    registry.add<TestExecutor>("test_executor");
    registry.add<NoExecutor>("no_executor");
    return worker::run(registry);
}
