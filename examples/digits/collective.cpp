// SPDX-License-Identifier: Apache-2.0
#include "collective.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/transport/tcp/device.h>

namespace digits {
namespace {

class AddressList {
public:
    explicit AddressList(const std::string& host) {
        addrinfo hints{};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_DGRAM;
        const int error = ::getaddrinfo(host.c_str(), "9", &hints, &first_);
        if (error != 0) throw gloo::IoException("cannot resolve MASTER_ADDR " + host + ": " + ::gai_strerror(error));
    }
    AddressList(const AddressList&) = delete;
    AddressList& operator=(const AddressList&) = delete;
    ~AddressList() { ::freeaddrinfo(first_); }
    [[nodiscard]] const addrinfo* first() const { return first_; }

private:
    addrinfo* first_ = nullptr;
};

/// The local end of a datagram socket connected to `peer`; empty when there is no route. Connecting
/// such a socket sends nothing: it only makes the kernel choose.
std::string source_address(const addrinfo& peer) {
    const int fd = ::socket(peer.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return {};
    sockaddr_storage self{};
    socklen_t size = sizeof self;
    std::string host(NI_MAXHOST, '\0');
    const bool found = ::connect(fd, peer.ai_addr, peer.ai_addrlen) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&self), &size) == 0 &&
                       ::getnameinfo(reinterpret_cast<sockaddr*>(&self), size, host.data(), NI_MAXHOST, nullptr, 0,
                                     NI_NUMERICHOST) == 0;
    ::close(fd);
    if (!found) return {};
    host.resize(std::strlen(host.c_str()));
    return host;
}

gloo::transport::tcp::attr device_attributes(const CollectiveOptions& options) {
    gloo::transport::tcp::attr attributes;
    if (!options.interface.empty()) {
        attributes.iface = options.interface;
    } else if (!options.address.empty()) {
        attributes.hostname = options.address;
    } else {
        const char* master = std::getenv("MASTER_ADDR");
        attributes.hostname = listen_address(master == nullptr || *master == '\0' ? "127.0.0.1" : master);
    }
    return attributes;
}

/// Ends every collective that waits in this context, now, with an exception. Gloo has no call for
/// that, but a timeout anywhere in a context closes all its connections: so wait, on a buffer of our
/// own, for something that nobody sends.
void interrupt(gloo::Context& context) noexcept {
    try {
        char nothing = 0;
        (void)context.createUnboundBuffer(&nothing, sizeof nothing)->waitRecv(std::chrono::milliseconds(1));
    } catch (const std::exception&) {
        // The timeout itself.
    }
}

}  // namespace

std::string listen_address(const std::string& master) {
    const AddressList addresses(master);
    for (const auto* peer = addresses.first(); peer != nullptr; peer = peer->ai_next) {
        auto address = source_address(*peer);
        if (!address.empty()) return address;
    }
    throw gloo::IoException("this host has no route to MASTER_ADDR " + master +
                            "; set the trainer's argument address or interface");
}

Collective::Collective(GlooStore& store, const std::string& name, int rank, int world_size,
                       const CollectiveOptions& options, const rankexec::Signal& abort)
    : timeout_(options.timeout) {
    const auto attributes = device_attributes(options);
    try {
        auto context = std::make_shared<gloo::rendezvous::Context>(rank, world_size);
        context->setTimeout(options.connect_timeout);
        auto device = gloo::transport::tcp::CreateDevice(attributes);
        const auto rendezvous = store.rendezvous(name, abort);
        context->connectFullMesh(*rendezvous, device);
        context_ = std::move(context);
    } catch (const std::exception& error) {
        store.forget(name);
        throw gloo::IoException("rank " + std::to_string(rank) + " could not connect to all others (listening on " +
                                (attributes.iface.empty() ? attributes.hostname : attributes.iface) +
                                "): " + error.what());
    }
    store.forget(name);
    on_abort_ = abort.on_trigger([context = context_](const std::string&) { interrupt(*context); });
}

Collective::~Collective() = default;

template <typename T>
void Collective::ring_sum(std::span<T> values) {
    gloo::AllreduceOptions options(context_);
    options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
    options.setOutput(values.data(), values.size());
    options.setReduceFunction(
        [](void* result, const void* a, const void* b, size_t count) { gloo::sum<T>(result, a, b, count); });
    options.setTag(next_tag_++);
    options.setTimeout(timeout_);
    gloo::allreduce(options);
}

void Collective::sum(std::span<float> values) { ring_sum(values); }
void Collective::sum(std::span<std::int64_t> values) { ring_sum(values); }

}  // namespace digits
