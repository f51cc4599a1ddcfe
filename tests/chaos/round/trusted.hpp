// SPDX-License-Identifier: Apache-2.0
// A group whose ranks have left their credentials where the round finds them, for attacks that need some.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "rankexec/core/component/engine.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"
#include "rankexec/ipc/wire/messages.hpp"
#include "round.hpp"

namespace chaos {

/// Where ranks copy their bootstraps to when they find this folder's name in CHAOS_CREDENTIALS.
inline constexpr const char* kCredentials = "/tmp/chaos_credentials";

/// What the ranks have left there; nothing of it stays.
[[nodiscard]] std::vector<rankexec::Bootstrap> take_credentials(int ranks);

/// A group that is ready and whose credentials are known.
class TrustedGroup {
public:
    /// Throws std::runtime_error when the group does not get ready.
    explicit TrustedGroup(rankexec::MultiProcessOptions options);

    rankexec::MultiProcessExecutor& executor() { return executor_; }
    /// Of rank 0, 1, ...
    [[nodiscard]] const std::vector<rankexec::Bootstrap>& credentials() const { return credentials_; }
    /// Another incarnation: the credentials are the new group's.
    void start_again();
    rankexec::Shareable execute(const std::string& task, rankexec::Value::Map headers = {},
                                milliseconds deadline = milliseconds(0));
    /// Empty when all ranks do a task, else why not.
    [[nodiscard]] std::string works();

private:
    void start();

    rankexec::Engine engine_;
    rankexec::MultiProcessExecutor& executor_;
    rankexec::Context context_;
    int ranks_;
    std::vector<rankexec::Bootstrap> credentials_;
};

/// How to reach that group, as its own ranks on this host do, or, with `tcp`, as ranks elsewhere would.
[[nodiscard]] std::string endpoint_of(const rankexec::Bootstrap& group, rankexec::ChannelKind kind, bool tcp);

/// Connects with those credentials as that rank, sends these messages, and goes on until `done`. True when the
/// handshake has succeeded.
struct Said {
    rankexec::wire::Envelope envelope;
    rankexec::wire::Message message;
};
bool connect_and_say(const rankexec::Bootstrap& credentials, rankexec::PeerRole role, int rank, bool tcp,
                     const std::vector<Said>& messages, const std::function<bool()>& done);

}  // namespace chaos
