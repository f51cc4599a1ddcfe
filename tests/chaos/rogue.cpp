// SPDX-License-Identifier: Apache-2.0
// A rank with the right credentials that speaks the protocol by hand, and answers a task as its name says. Rank
// `rank` of the task's headers does, the others answer as they should.
//   "work"       the answer
//   "depth", "count", "truncated", "flipped"   an answer that cannot be understood
//   "earlier", "foreign"     an answer of another incarnation, of another run, and then the answer
//   "duplicate", "repeated"  the answer twice: the same message, and as a message of its own
//   "future", "late"         an answer to the task after it, or to the one before it, and then the answer
// `seed` of the headers: where it is cut or changed.
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

#include "own_bootstrap.hpp"
#include "rankexec/ipc/transport/transport_client.hpp"
#include "rankexec/ipc/wire/codec.hpp"

namespace {

using namespace rankexec;
using Bytes = std::vector<std::byte>;

/// Array or map in its shortest form is one byte, and so are small numbers; the rest of a body is what can be harmed
/// without harming the number of the call that it belongs to.
constexpr std::size_t kHarmless = 12;
constexpr std::size_t kDepth = 100'000;

wire::Frame frame_of(Bytes bytes) {
    const auto owner = std::make_shared<Bytes>(std::move(bytes));
    return {*owner, owner};
}

/// Task number, event number, and then arrays in arrays, or one of more elements than there are bytes.
Bytes nested_body(std::uint64_t task_id, const std::string& how) {
    Bytes body{std::byte{0x94}, std::byte{0xcf}};
    for (unsigned shift = 64; shift > 0; shift -= 8) body.push_back(static_cast<std::byte>(task_id >> (shift - 8)));
    body.push_back(std::byte{0});
    if (how == "depth") {
        body.insert(body.end(), kDepth, std::byte{0x91});
        body.push_back(std::byte{0xc0});
    } else {
        body.insert(body.end(), {std::byte{0xdd}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}, std::byte{0xff}});
    }
    return body;
}

class Rogue {
public:
    explicit Rogue(Bootstrap bootstrap) : bootstrap_(std::move(bootstrap)) {}

    int run() {
        TransportClient::Callbacks callbacks;
        callbacks.on_message = [this](ChannelKind, std::vector<wire::Frame>&& frames) { receive(frames); };
        auto client = TransportClient::connect(loop_, bootstrap_, PeerRole::rank, bootstrap_.rank,
                                               {ChannelKind::execution, ChannelKind::handler, ChannelKind::relay},
                                               std::move(callbacks));
        if (!client) return 1;
        client_ = std::move(*client);
        wire::Hello hello;
        hello.pid = ::getpid();
        hello.world_size = bootstrap_.world_size;
        say(hello);
        say(wire::Attach{}, ChannelKind::handler);
        say(wire::Attach{}, ChannelKind::relay);
        loop_.run();
        client_->close(std::chrono::milliseconds(0));
        return 0;
    }

private:
    wire::Envelope next_envelope(ChannelKind kind = ChannelKind::execution) {
        wire::Envelope envelope;
        envelope.run_id = bootstrap_.run_id;
        envelope.incarnation = bootstrap_.incarnation;
        envelope.rank = bootstrap_.rank;
        envelope.sequence = ++sequence_.at(static_cast<std::size_t>(kind));
        return envelope;
    }
    void say(const wire::Message& message, ChannelKind kind = ChannelKind::execution) {
        client_->send(kind, *wire::encode(next_envelope(kind), message));
    }
    /// As a message that shall be dropped: the next good one has the same number.
    void say_stale(wire::Envelope envelope, const wire::Message& message) {
        client_->send(ChannelKind::execution, *wire::encode(std::move(envelope), message));
        --sequence_.front();
    }

    void receive(const std::vector<wire::Frame>& frames) {
        const auto decoded = wire::decode(frames);
        if (!decoded) ::_exit(4);
        if (std::holds_alternative<wire::Initialise>(decoded->message)) say(wire::Initialised{});
        if (std::holds_alternative<wire::Close>(decoded->message)) loop_.stop();
        if (const auto* execute = std::get_if<wire::Execute>(&decoded->message)) answer(*execute);
    }

    void answer(const wire::Execute& task) {
        const auto* victim = task.input.header("rank");
        const auto* seed = task.input.header("seed");
        const bool meant = victim != nullptr && victim->integer_or(-1) == bootstrap_.rank;
        wire::Result result;
        result.task_id = task.task_id;
        result.reply.headers = {{"some", "text"}, {"and", 4711}, {"more", Value::Array{1, 2.5, "three"}}};
        if (meant) be_rogue(task.task, result, seed != nullptr ? static_cast<unsigned>(seed->integer_or(0)) : 0U);
        if (!answered_) say(result);
        answered_ = false;
        last_ = result;
    }

    void be_rogue(const std::string& how, const wire::Result& result, unsigned seed) {
        auto envelope = next_envelope();
        if (how == "earlier") {
            --envelope.incarnation;
            say_stale(envelope, result);
        } else if (how == "foreign") {
            envelope.run_id = std::string(32, '0');
            say_stale(envelope, result);
        } else if (how == "duplicate" || how == "repeated" || how == "late" || how == "future") {
            auto said = how == "late" ? last_ : result;
            if (how == "future") ++said.task_id;
            const auto frames = *wire::encode(envelope, said);
            client_->send(ChannelKind::execution, frames);
            if (how == "duplicate") client_->send(ChannelKind::execution, frames);
            answered_ = how == "duplicate";
        } else if (how == "depth" || how == "count") {
            auto frames = *wire::encode(envelope, result);
            frames.at(1) = frame_of(nested_body(result.task_id, how));
            client_->send(ChannelKind::execution, frames);
            answered_ = true;
        } else if (how == "truncated" || how == "flipped") {
            client_->send(ChannelKind::execution, harmed(*wire::encode(envelope, result), how, seed));
            answered_ = true;
        } else {
            --sequence_.front();
        }
    }

    static std::vector<wire::Frame> harmed(std::vector<wire::Frame> frames, const std::string& how, unsigned seed) {
        std::minstd_rand dice(seed);
        Bytes body(frames.at(1).bytes.begin(), frames.at(1).bytes.end());
        std::uniform_int_distribution<std::size_t> place(kHarmless, body.size() - 1);
        if (how == "truncated") body.resize(place(dice));
        for (int flips = 0; how == "flipped" && flips < 8; ++flips) {
            body.at(place(dice)) ^= static_cast<std::byte>(1U << (dice() % 8));
        }
        frames.at(1) = frame_of(std::move(body));
        return frames;
    }

    EventLoop loop_;
    Bootstrap bootstrap_;
    std::unique_ptr<TransportClient> client_;
    std::array<std::uint64_t, 4> sequence_{};
    wire::Result last_;
    bool answered_ = false;
};

}  // namespace

int main() { return Rogue(test::own_bootstrap()).run(); }
