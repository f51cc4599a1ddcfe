// SPDX-License-Identifier: Apache-2.0
// Somebody without a rank's credentials, or with another's, connects to the group. Variants, on ipc, and on tcp where
// the parent listens there:
//   none, wrong, plain      a handshake by hand: no credentials, wrong ones, a rank's own but over tcp
//   other_run, own_key      credentials of another run; a self-made CURVE key for this run's parent (tcp)
//   other_rank, shim        rank 1's secret for rank 0; rank 0's secret for a shim
//   earlier                 a rank's credentials of the executor's group before this one
//   replayed, replayed_bytes  a second connection that says a live rank's hello again; a handshake's bytes again
//   envelope                authenticated as rank 1, says that it is rank 2
//   other_user              another uid, before and after the run directory is opened for it
//   run_directory           a directory or a link is there already
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "rankexec/ipc/transport/transport_server.hpp"
#include "recorder.hpp"
#include "surroundings.hpp"
#include "trusted.hpp"
#include "zmtp.hpp"

namespace chaos {
namespace {

namespace fs = std::filesystem;
using rankexec::Bootstrap;
using rankexec::ChannelKind;
using rankexec::PeerRole;
using rankexec::Secret;

constexpr uid_t kStranger = 54322;
/// Beyond the handshake limit, and the pause between two attempts of a client.
constexpr milliseconds kCounted{10'000};

struct Counters {
    std::uint64_t refused;
    std::uint64_t dropped;
};
Counters counters(TrustedGroup& group) {
    const auto report = group.executor().report();
    return {report.refused_handshakes, report.dropped_messages};
}

rankexec::wire::Envelope envelope_of(const Bootstrap& group, int rank, std::uint64_t sequence) {
    rankexec::wire::Envelope envelope;
    envelope.run_id = group.run_id;
    envelope.incarnation = group.incarnation;
    envelope.rank = rank;
    envelope.sequence = sequence;
    return envelope;
}

Said hello_of(const Bootstrap& group, int rank) {
    rankexec::wire::Hello hello;
    hello.world_size = group.world_size;
    return {envelope_of(group, rank, 1), hello};
}

/// A handshake by hand; what is wrong with how it went.
std::string by_hand(TrustedGroup& group, const std::string& endpoint, std::string_view mechanism,
                    const std::string& hello) {
    const auto before = counters(group);
    zmtp::Connection connection(endpoint);
    if (!connection.connected()) return std::string("connect: ") + std::generic_category().message(connection.error());
    connection.send(zmtp::greeting(mechanism));
    connection.send(hello);
    const auto seen = connection.receive("READY", milliseconds(5000));
    if (seen.find("READY") != std::string::npos) return "the handshake succeeded";
    if (!connection.closed()) return "the connection was not closed";
    // A greeting, and at most one command, ERROR.
    if (seen.size() > 64 + 64) return "it was told " + std::to_string(seen.size()) + " bytes";
    if (!eventually(kCounted, [&] { return counters(group).refused > before.refused; })) return "it was not counted";
    return {};
}

/// A client of ours with credentials that must not do.
std::string refused(TrustedGroup& group, const Bootstrap& credentials, PeerRole role, int rank, bool tcp) {
    const auto before = counters(group);
    const bool connected = connect_and_say(credentials, role, rank, tcp, {hello_of(credentials, rank)},
                                           [&] { return counters(group).refused > before.refused; });
    const auto after = counters(group);
    if (connected) return "the handshake succeeded";
    if (after.refused == before.refused) return "it was not counted";
    if (after.dropped != before.dropped) return "a message came through";
    return {};
}

/// A client whose handshake is good, and whose messages must not do.
std::string dropped(TrustedGroup& group, const Bootstrap& credentials, bool tcp, const Said& said) {
    const auto before = counters(group);
    const bool connected = connect_and_say(credentials, PeerRole::rank, credentials.rank, tcp, {said},
                                           [&] { return counters(group).dropped > before.dropped; });
    const auto after = counters(group);
    // A message that has come through tells it, too, and may do so earlier.
    if (!connected && after.dropped == before.dropped) return "its own credentials were refused";
    if (after.dropped != before.dropped + 1) return "dropped " + std::to_string(after.dropped - before.dropped);
    return {};
}

Bootstrap with_secret(Bootstrap bootstrap, const Secret& secret) {
    bootstrap.secret = secret;
    return bootstrap;
}

/// A handshake that has succeeded is recorded on its way and then said again.
std::string replayed_bytes(TrustedGroup& group, bool tcp) {
    auto rank = group.credentials().at(1);
    const auto endpoint = endpoint_of(rank, ChannelKind::execution, tcp);
    std::string bytes;
    if (tcp) {
        Recorder recorder(endpoint);
        rank.ports.at(0) = recorder.port();
        const auto before = counters(group);
        connect_and_say(rank, PeerRole::rank, 1, true, {hello_of(rank, 1)},
                        [&] { return counters(group).dropped > before.dropped; });
        bytes = recorder.stop();
        if (bytes.size() < 300) return "nothing was recorded";
    } else {
        // What another process could not read, but a guess: PLAIN holds the password itself, of another rank here.
        bytes = zmtp::greeting("PLAIN") + zmtp::plain_hello("rank-0", group.credentials().at(1).run_id);
    }
    const auto before = counters(group);
    zmtp::Connection connection(endpoint);
    connection.send(bytes);
    const auto seen = connection.receive("", milliseconds(5000));
    if (!connection.closed()) return "the connection was not closed";
    if (counters(group).dropped != before.dropped) return "a message came through";
    if (!eventually(kCounted, [&] { return counters(group).refused > before.refused; })) return "it was not counted";
    return {};
}

/// In a process of that user: 0, errno of connect, or -1 when it was connected and told anything.
int connect_as(uid_t user, const std::string& endpoint) {
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setgid(user) != 0 || ::setuid(user) != 0) ::_exit(250);
        zmtp::Connection connection(endpoint);
        if (!connection.connected()) ::_exit(connection.error());
        connection.send(zmtp::greeting("PLAIN"));
        const auto seen = connection.receive("", milliseconds(5000));
        ::_exit(seen.empty() && connection.closed() ? 0 : 251);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string other_user(TrustedGroup& group) {
    const auto& rank = group.credentials().front();
    const auto endpoint = endpoint_of(rank, ChannelKind::execution, false);
    if (const int error = connect_as(kStranger, endpoint); error != EACCES) {
        return "into the run directory: " + std::to_string(error);
    }
    const auto before = counters(group);
    ::chmod(rank.run_directory.c_str(), 0711);
    ::chmod((rank.run_directory + "/execution").c_str(), 0777);
    const int error = connect_as(kStranger, endpoint);
    ::chmod(rank.run_directory.c_str(), 0700);
    if (error != 0) return "with the directory opened: " + std::to_string(error);
    if (!eventually(kCounted, [&] { return counters(group).refused > before.refused; })) return "it was not counted";
    return {};
}

std::string run_directory(Dice& dice) {
    const std::string path = "/tmp/rx-0123456789abcdef";
    const std::string target = "/tmp/chaos_target";
    ::mkdir(target.c_str(), 0777);
    const bool link = dice.roll(2) == 0;
    if (link) {
        fs::create_directory_symlink(target, path);
    } else {
        ::mkdir(path.c_str(), 0777);
    }
    rankexec::EventLoop loop;
    rankexec::TransportServer::Options options;
    options.run_directory = path;
    std::string wrong;
    if (rankexec::TransportServer::start(loop, options)) wrong = "a run directory was taken over";
    if (!fs::is_empty(target) || !fs::is_empty(path)) wrong = "something was left there";
    fs::remove(path);
    fs::remove(target);
    return wrong;
}

std::string attack(const std::string& variant, TrustedGroup& group, bool tcp, Dice& dice) {
    const auto& ranks = group.credentials();
    const auto kind = dice.pick(std::vector<ChannelKind>{ChannelKind::execution, ChannelKind::handler,
                                                         ChannelKind::relay, ChannelKind::supervision});
    const auto endpoint = endpoint_of(ranks.front(), kind, tcp);
    const auto password = rankexec::PeerCredentials{PeerRole::rank, 0, ranks.front().secret}.password();
    if (variant == "none") return by_hand(group, endpoint, "NULL", zmtp::metadata_command("READY"));
    if (variant == "wrong") return by_hand(group, endpoint, "PLAIN", zmtp::plain_hello("rank-0", "password"));
    if (variant == "plain") {
        const auto user = tcp ? "rank-0" : "rank-4";
        return by_hand(group, endpoint, "PLAIN", zmtp::plain_hello(user, password));
    }
    if (variant == "other_run") {
        auto foreign = with_secret(ranks.front(), Secret::random());
        foreign.server_key = rankexec::curve_keys_from(Secret::random()).public_key;
        return refused(group, foreign, PeerRole::rank, 0, tcp);
    }
    if (variant == "own_key") {
        return refused(group, with_secret(ranks.front(), Secret::random()), PeerRole::rank, 0, tcp);
    }
    if (variant == "other_rank") return refused(group, ranks.at(1), PeerRole::rank, 0, tcp);
    if (variant == "shim") return refused(group, ranks.front(), PeerRole::shim, 0, tcp);
    if (variant == "earlier") {
        const auto old = ranks.front().secret;
        group.start_again();
        return refused(group, with_secret(group.credentials().front(), old), PeerRole::rank, 0, tcp);
    }
    if (variant == "replayed") return dropped(group, ranks.at(1), tcp, hello_of(ranks.at(1), 1));
    if (variant == "replayed_bytes") return replayed_bytes(group, tcp);
    if (variant == "envelope") {
        const rankexec::wire::Result result;
        return dropped(group, ranks.at(1), tcp, {envelope_of(ranks.at(1), 2, 3), result});
    }
    if (variant == "other_user") return other_user(group);
    if (variant == "run_directory") return run_directory(dice);
    throw std::runtime_error("there is no variant " + variant);
}

}  // namespace

Outcome strangers(const RoundOptions& round) {
    Dice dice(round.seed);
    TrustedGroup group(group_options(round));
    Outcome outcome;
    outcome.wrong = attack(round.variant, group, round.launcher != "local", dice);
    if (!outcome.wrong.empty()) outcome.wrong = round.variant + ": " + outcome.wrong;
    if (outcome.wrong.empty()) outcome.wrong = group.works();
    const auto report = group.executor().report();
    outcome.figures["refused_connections"] = static_cast<double>(report.refused_handshakes);
    outcome.figures["dropped_messages"] = static_cast<double>(report.dropped_messages);
    return outcome;
}

}  // namespace chaos
