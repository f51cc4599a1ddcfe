// SPDX-License-Identifier: Apache-2.0
//
// pipe_peer FORM END ADDRESS COMMAND [FIRST COUNT [STEP]]
//
// The other end of a pipe, in a process of its own. ADDRESS is a file pipe's folder, or a file with a ZeroMQ pipe's
// credentials. COMMAND: `send` sends the numbers from FIRST, COUNT of them; `receive` receives COUNT messages; `echo`
// answers every request until the end. With STEP (as PipeStep counts) the process kills itself there, at the last of
// the COUNT messages. A line per message goes to standard output.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "unit/pipe/peer_pipe.hpp"

int main(int argc, char** argv) {
    using namespace rankexec;
    if (argc < 5) return 2;
    const std::string command = argv[4];
    const int first = argc > 5 ? std::atoi(argv[5]) : 0;
    const int count = argc > 6 ? std::atoi(argv[6]) : 0;
    const int step = argc > 7 ? std::atoi(argv[7]) : -1;
    int done = 0;
    std::atomic<int> message = 0;  // steps are taken on the pipe's threads too
    const auto pipe = test::make_peer_pipe(argv[1], argv[2], argv[3], [&, count](PipeStep at) {
        if (at == PipeStep::encoded || at == PipeStep::arrived) ++message;
        if (message == count && static_cast<int>(at) == step) std::raise(SIGKILL);
    });
    if (!pipe) return 2;
    if (const auto opened = pipe->open(test::kPeerPatience); !opened) {
        std::fprintf(stderr, "%s\n", opened.error().message.c_str());
        return 3;
    }
    const auto say = [](const char* what, std::int64_t number) {
        std::printf("%s %lld\n", what, static_cast<long long>(number));
        std::fflush(stdout);
    };
    say("open", 0);
    for (; command == "send" && done < count; ++done) {
        Shareable content;
        content.body = first + done;
        const auto sent = pipe->send(PipeMessage::request("count", content), test::kPeerPatience);
        if (!sent) std::fprintf(stderr, "%s\n", sent.error().message.c_str());
        say(sent ? "sent" : "unsent", first + done);
    }
    while (command == "echo" || (command == "receive" && done < count)) {
        const auto received = pipe->receive(test::kPeerPatience);
        if (!received || !*received) return 4;
        const auto& message = **received;
        if (message.topic == kEndTopic) break;
        if (message.is_heartbeat()) continue;
        say("received", message.content.body.integer_or(-1));
        if (command == "echo" && !pipe->send(PipeMessage::reply_to(message, message.content), test::kPeerPatience)) {
            return 5;
        }
        ++done;
    }
    pipe->close();
    return 0;
}
