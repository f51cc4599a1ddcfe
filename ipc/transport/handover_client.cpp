// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/ipc/transport/handover.hpp"
#include "rankexec/ipc/transport/handover_message.hpp"

namespace rankexec {
namespace {

tl::unexpected<std::string> failed(const std::string& path, const std::string& what, int error) {
    return tl::unexpected(path + ": " + what + ": " + std::generic_category().message(error));
}

/// Takes every descriptor of the message, so that none leaks whatever else is wrong with it.
std::vector<UniqueFd> descriptors_of(msghdr& message) {
    std::vector<UniqueFd> descriptors;
    for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const auto count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t index = 0; index < count; ++index) {
            int descriptor = -1;
            std::memcpy(&descriptor, CMSG_DATA(header) + index * sizeof(int), sizeof descriptor);
            descriptors.emplace_back(descriptor);
        }
    }
    return descriptors;
}

bool send_request(int socket, const Bootstrap& bootstrap, const HandoverWish& wish) {
    HandoverRequest request;
    request.rank = bootstrap.rank;
    request.kind = static_cast<std::uint32_t>(wish.kind);
    request.number = wish.number;
    request.size = wish.size;
    auto password = PeerCredentials{PeerRole::rank, bootstrap.rank, bootstrap.secret}.password();
    std::memcpy(request.password.data(), password.data(), std::min(password.size(), request.password.size()));
    wipe(password);
    const bool sent = ::send(socket, &request, sizeof request, MSG_NOSIGNAL) == sizeof request;
    ::sodium_memzero(&request, sizeof request);
    return sent;
}

}  // namespace

tl::expected<ReceivedHandover, std::string> receive_handover(const Bootstrap& bootstrap, const HandoverWish& wish,
                                                             std::chrono::milliseconds patience) {
    const auto path = handover_path(bootstrap.run_directory);
    const auto address = address_of_socket(path);
    if (!address) return failed(path, "connect", ENAMETOOLONG);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket.valid()) return failed(path, "socket", errno);
    timeval limit{};
    limit.tv_sec = patience.count() / 1000;
    limit.tv_usec = patience.count() % 1000 * 1000;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0) {
        return failed(path, "connect", errno);
    }
    if (!send_request(socket.get(), bootstrap, wish)) return failed(path, "send", errno);
    wipe_scratch();

    ReceivedHandover received;
    received.bytes.resize(kHandoverBytes);
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kHandoverDescriptors * sizeof(int))> control{};
    iovec bytes{received.bytes.data(), received.bytes.size()};
    msghdr message{};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size = 0;
    do {
        size = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0) return failed(path, "no answer", errno);
    received.descriptors = descriptors_of(message);
    if (size == 0) return tl::unexpected(path + ": the parent refused this rank");
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        return tl::unexpected(path + ": the answer was cut; are descriptors left (ulimit -n)?");
    }
    received.bytes.resize(static_cast<std::size_t>(size));
    received.connection = std::move(socket);
    return received;
}

}  // namespace rankexec
