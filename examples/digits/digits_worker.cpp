// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include <rankexec/worker/worker.hpp>

#include "gloo_store.hpp"
#include "trainer.hpp"

int main() {
    std::signal(SIGPIPE, SIG_IGN);  // Gloo writes to sockets whose peer may just have died
    rankexec::ComponentRegistry registry;
    registry.add<digits::GlooStore>("digits_gloo_store");
    registry.add<digits::DigitsTrainer>("digits_trainer");
    return rankexec::worker::run(registry);
}
