// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/exchange/exchange_messages.hpp"
#include "rankexec/ipc/exchange/meeting_place.hpp"
#include "rankexec/ipc/pipe/pipe_codec.hpp"
#include "rankexec/ipc/wire/limits.hpp"

namespace rankexec::pipe {
class PipeLink;
}

namespace rankexec::exchange {

/// Where the agent listens beside the sockets of its folder, or where it is reached instead of by them.
struct TcpAddress {
    std::string host;  ///< a name or a number; listening: a number, or empty for every interface
    int port = 0;      ///< 1 to 65534: this and the next are used; 0: no tcp

    [[nodiscard]] bool given() const noexcept { return port != 0; }
    /// `HOST:PORT`, for people; `*:PORT` for every interface.
    [[nodiscard]] std::string to_text() const {
        return (host.empty() ? std::string("*") : host) + ":" + std::to_string(port);
    }
    /// From that, from `[IPv6]:PORT`, or from an empty text: none.
    [[nodiscard]] RANKEXEC_EXPORT static tl::expected<TcpAddress, std::string> parse(std::string_view text);
};

/// What is sent: encoded once, however often it is put on a connection.
struct Outgoing {
    pipe::EncodedMessage message;
    bool sign = false;
    std::size_t bytes = 0;
};

/// One side's end of an exchange: a thread with its EventLoop, and the connections of one peer on it, which are made
/// again whenever they are lost. What is sent here and not answered is nobody's business here.
///
/// Callbacks run on the loop's thread; so must send() and everything but post().
class RANKEXEC_EXPORT Endpoint {
public:
    struct Callbacks {
        /// Both channels are up, for the first time or again. Nothing that was sent before is on its way any more.
        std::function<void(const std::string& session)> on_up;
        /// They are not any more. Called once for each on_up.
        std::function<void(const std::string& why)> on_down;
        /// `id` is the message's, for an answer; `request_id` what it answers.
        std::function<void(ExchangeMessage&&, const std::string& id, const std::string& request_id)> on_message;
        /// Something with the peer's credentials, but no message. `topic` and `id` are empty where they cannot be told.
        std::function<void(const std::string& topic, const std::string& id, const std::string& why)> on_bad;
        /// There cannot be a connection, for this reason: the key is another one. No further one is tried before
        /// connect_anew().
        std::function<void(const std::string& why)> on_refused;
    };

    /// Listens at the place, and on `tcp` if that is given.
    [[nodiscard]] static tl::expected<std::unique_ptr<Endpoint>, std::string> listen(const MeetingPlace& place,
                                                                                     const TcpAddress& tcp,
                                                                                     const wire::Limits& limits,
                                                                                     Callbacks callbacks);
    /// Connects to whoever listens there, now or later.
    [[nodiscard]] static tl::expected<std::unique_ptr<Endpoint>, std::string> connect(const MeetingPlace& place,
                                                                                      const TcpAddress& tcp,
                                                                                      const wire::Limits& limits,
                                                                                      Callbacks callbacks);
    /// Tells the peer that this end is gone, without waiting for it, and ends the thread. No callback comes afterwards.
    /// Not on the loop's thread.
    ~Endpoint();
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    /// Begins; until then nothing is called. Throws std::system_error when threads have run out.
    void start();
    [[nodiscard]] EventLoop& loop();
    void post(std::function<void()> work);

    /// Fails with the limit that it exceeds, or what cannot be sent. Any thread.
    [[nodiscard]] tl::expected<Outgoing, std::string> encode(ExchangeMessage message,
                                                             std::string request_id = {}) const;

    /// False when there is no connection.
    bool send(const Outgoing& message);
    /// Encoded on the way; what cannot be encoded is logged.
    bool send(ExchangeMessage message, std::string request_id = {});

    [[nodiscard]] bool up() const noexcept;
    /// Counts the connections, from 1.
    [[nodiscard]] std::uint64_t connection() const noexcept;
    /// Of the present peer, or of the last one.
    [[nodiscard]] const std::string& peer() const noexcept;
    /// Why there is no connection, as far as that is known.
    [[nodiscard]] const std::string& why_down() const noexcept;
    /// Gives the connections up, which nothing comes over any more, and begins new ones, with that key. The connecting
    /// end only; does nothing on the other.
    void connect_anew(const Secret& key);
    [[nodiscard]] const Secret& key() const noexcept;
    /// Messages and connections that were turned away.
    [[nodiscard]] std::uint64_t rejected() const;

private:
    class Core;
    explicit Endpoint(std::unique_ptr<Core> core);
    std::unique_ptr<Core> core_;
};

}  // namespace rankexec::exchange
