// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

/// How descriptors get from the parent to a rank on its host: over a Unix socket in the run directory, to processes
/// of the same user that have the rank's credentials. One message there, one back (PROTOCOL.md, section "Handover");
/// what becomes of the connection then is for both sides to know.
namespace rankexec {

/// At most that many descriptors and bytes in one handover.
inline constexpr std::size_t kHandoverDescriptors = 4;
inline constexpr std::size_t kHandoverBytes = 256;

/// What a rank asks for.
struct HandoverWish {
    enum class Kind : std::uint32_t {
        rings = 0,           ///< the memory that its messages go through
        task_segment = 1,    ///< the parent's segment with that number, which a message refers to
        result_segment = 2,  ///< a new one of that size for its own results, which is to have that number
    };
    Kind kind = Kind::rings;
    std::uint64_t number = 0;
    std::uint64_t size = 0;  ///< in bytes
};

/// The parent's side. Lives on one EventLoop.
class RANKEXEC_EXPORT HandoverServer {
public:
    /// What a rank gets. The descriptors are read when the callback has returned; `owner` keeps them open.
    struct Handover {
        std::vector<std::byte> bytes;  ///< up to kHandoverBytes, and at least one
        std::vector<int> descriptors;  ///< up to kHandoverDescriptors
        std::shared_ptr<const void> owner = nullptr;
        /// Gets the connection, non-blocking, when the rank has got everything; without it, it is closed.
        std::function<void(UniqueFd connection)> keep = nullptr;
    };
    /// Called on the loop for a rank that has shown its credentials. Nothing to hand over: it is refused.
    using OnRank = std::function<Handover(int rank, const HandoverWish& wish)>;

    /// Listens at handover_path() of that directory. A connection that has said nothing after `patience` is dropped.
    /// Fails with what the socket lacks.
    static tl::expected<std::unique_ptr<HandoverServer>, std::string> start(
        EventLoop& loop, const Bootstrap& bootstrap, OnRank on_rank,
        std::chrono::milliseconds patience = std::chrono::seconds(2));
    virtual ~HandoverServer() = default;

    /// Connections that were turned away: another user, wrong credentials, silence, or no descriptors left for them.
    [[nodiscard]] virtual std::uint64_t refused() const = 0;
};

/// Where the server of that run directory listens.
[[nodiscard]] RANKEXEC_EXPORT std::string handover_path(const std::string& run_directory);

/// What came to a rank.
struct ReceivedHandover {
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> descriptors;  ///< close-on-exec
    UniqueFd connection;                ///< that it came by
};

/// The rank's side: connects, shows the credentials and waits for the answer, at most that long. Any thread.
/// `bootstrap` is the rank's own form. Fails when nobody listens there, this rank is refused, or the answer is none.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<ReceivedHandover, std::string> receive_handover(
    const Bootstrap& bootstrap, const HandoverWish& wish = {},
    std::chrono::milliseconds patience = std::chrono::seconds(2));

}  // namespace rankexec
