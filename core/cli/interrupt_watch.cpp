// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/cli/interrupt_watch.hpp"

#include <csignal>
#include <utility>

namespace rankexec::cli {
namespace {

// Whoever started us with nohup wants a run that outlives the terminal.
int hang_up() { return is_ignored(SIGHUP) ? SIGTERM : SIGHUP; }

}  // namespace

void InterruptWatch::block() { block_signals({SIGINT, SIGTERM, hang_up(), SIGTSTP}); }

InterruptWatch::InterruptWatch(Hooks hooks)
    : hooks_(std::move(hooks)),
      signals_(loop_, {SIGINT, SIGTERM, hang_up(), SIGTSTP}, [this](int signal) { on_signal(signal); }),
      thread_([this] { loop_.run(); }) {}

InterruptWatch::~InterruptWatch() {
    loop_.stop();
    thread_.join();
}

void InterruptWatch::on_signal(int signal) {
    if (signal == SIGTSTP) {
        if (hooks_.on_suspend) {
            hooks_.on_suspend();
        } else {
            ::raise(SIGSTOP);  // as if the signal was not blocked
        }
        return;
    }
    int none = 0;
    if (first_.compare_exchange_strong(none, signal)) {
        hooks_.on_first(signal);
    } else {
        hooks_.on_second(signal);
    }
}

}  // namespace rankexec::cli
