// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/stack_sampler.hpp"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>

#include "rankexec/ipc/wire/messages.hpp"
#include "rankexec/worker/stack_dump.hpp"

namespace rankexec::worker {
namespace {

enum class Step { idle, asked, dumping, dumped };

// What the handler works on: static memory, lock-free.
std::atomic<Step> step{Step::idle};
StackDump dump;
std::atomic<int> answer_fd{-1};
static_assert(std::atomic<Step>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

void on_signal(int /*signal*/, siginfo_t* /*info*/, void* context) {
    const int saved_error = errno;
    auto expected = Step::asked;
    if (step.compare_exchange_strong(expected, Step::dumping)) {
        dump_stack(dump, context);
        step = Step::dumped;
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto size = ::write(answer_fd, &one, sizeof one);
    }
    errno = saved_error;
}

bool is_unused(int signal) {
    struct sigaction present {};
    return ::sigaction(signal, nullptr, &present) == 0 && (present.sa_flags & SA_SIGINFO) == 0 &&
           present.sa_handler == SIG_DFL;
}

bool is_ours(int signal) {
    struct sigaction present {};
    return ::sigaction(signal, nullptr, &present) == 0 && (present.sa_flags & SA_SIGINFO) != 0 &&
           present.sa_sigaction == on_signal;
}

/// The letter of ps for what the thread does: "D" is a wait in the kernel that nothing can interrupt.
std::string state_of(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto end_of_name = text.rfind(')');
    return end_of_name != std::string::npos && end_of_name + 2 < text.size() ? text.substr(end_of_name + 2, 1) : "?";
}

}  // namespace

StackSampler::StackSampler(EventLoop& loop)
    : loop_(loop),
      thread_(static_cast<pid_t>(::syscall(SYS_gettid))),
      answered_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!answered_.valid()) return;
    prepare_stack_dumps();
    answer_fd = answered_.get();
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    // From the far end: programs take them from SIGRTMIN on.
    for (int signal = SIGRTMAX; signal >= SIGRTMIN && signal_ == 0; --signal) {
        if (is_unused(signal) && ::sigaction(signal, &action, nullptr) == 0) signal_ = signal;
    }
    if (signal_ == 0) return;
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, signal_);
    ::pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
}

StackSampler::~StackSampler() {
    if (timer_ != 0) loop_.cancel(timer_);
    if (watched_) loop_.unwatch(answered_.get());
    // Ignored before it is given back: one that is still on its way would end the process.
    if (signal_ != 0 && is_ours(signal_)) {
        std::signal(signal_, SIG_IGN);
        std::signal(signal_, SIG_DFL);
    }
    answer_fd = -1;
}

void StackSampler::request(std::function<void(Sample&&)> on_sample) {
    on_sample_ = std::move(on_sample);
    if (signal_ == 0 || !is_ours(signal_)) return deliver({{}, "the program has taken the signal that asks for it"});
    if (!watched_) {
        loop_.watch(answered_.get(), EPOLLIN, [this](std::uint32_t) { finish(); });
        watched_ = true;
    }
    if (timer_ == 0) timer_ = loop_.call_after(kPatience, [this] { give_up(); });
    step = Step::asked;
    if (::syscall(SYS_tgkill, ::getpid(), thread_, signal_) != 0) {
        deliver({{}, std::string("the thread cannot be asked: ") + std::generic_category().message(errno)});
    }
}

void StackSampler::finish() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto size = ::read(answered_.get(), &count, sizeof count);
    if (step != Step::dumped) return;
    Sample sample;
    std::size_t bytes = 0;
    for (std::size_t index = 0; index < dump.count && index < wire::kReportedFrames; ++index) {
        auto frame = frame_text(dump.frames[index], index == 0);
        bytes += frame.size();
        if (bytes > wire::kReportedBytes) break;
        sample.frames.push_back(std::move(frame));
    }
    step = Step::idle;
    deliver(std::move(sample));
}

void StackSampler::give_up() {
    timer_ = 0;
    auto expected = Step::asked;
    if (!step.compare_exchange_strong(expected, Step::idle)) return;  // it is on its way
    deliver({{},
             "no answer from the thread within " + std::to_string(kPatience.count()) + " ms, its state is " +
                 state_of(thread_)});
}

void StackSampler::deliver(Sample&& sample) {
    if (timer_ != 0) loop_.cancel(std::exchange(timer_, 0));
    if (auto callback = std::exchange(on_sample_, nullptr)) callback(std::move(sample));
}

}  // namespace rankexec::worker
