// SPDX-License-Identifier: Apache-2.0
#include "collective.hpp"

#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/transport/tcp/device.h>

#include "listen_address.hpp"

namespace digits {
namespace {

gloo::transport::tcp::attr device_attributes(const CollectiveOptions& options) {
    gloo::transport::tcp::attr attributes;
    if (!options.interface.empty()) {
        attributes.iface = options.interface;
    } else if (!options.address.empty()) {
        attributes.hostname = options.address;
    } else {
        attributes.hostname = listen_address();
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
