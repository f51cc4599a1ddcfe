// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include <rankexec/core/model/signal.hpp>

#include "gloo_store.hpp"

namespace gloo {
class Context;
}

namespace digits {

struct CollectiveOptions {
    std::string address;                                ///< that this rank listens on; empty: see listen_address
    std::string interface;                              ///< network interface to listen on, instead of an address
    std::chrono::milliseconds connect_timeout{30'000};  ///< for each step of the rendezvous
    std::chrono::milliseconds timeout{60'000};          ///< for one collective, from its first to its last rank
};

/// All ranks of a group, connected by Gloo. One thread uses it; `abort` may trigger on any.
///
/// Every function throws gloo::Exception when a rank is gone, late, or left, and at once when `abort`
/// triggers. After that the object is of no use, and the other ranks' calls fail too as soon as it is
/// destroyed.
class Collective {
public:
    /// Connects to all other ranks, which must do the same with the same name. Names must not be used
    /// twice by one group.
    Collective(GlooStore& store, const std::string& name, int rank, int world_size, const CollectiveOptions& options,
               const rankexec::Signal& abort);
    ~Collective();
    Collective(const Collective&) = delete;
    Collective& operator=(const Collective&) = delete;

    /// Adds up the values of all ranks in place. Every rank gets the same bits: each part is summed
    /// once, around the ring, and then handed on.
    void sum(std::span<float> values);
    void sum(std::span<std::int64_t> values);

private:
    template <typename T>
    void ring_sum(std::span<T> values);

    std::shared_ptr<gloo::Context> context_;
    std::chrono::milliseconds timeout_;
    std::uint32_t next_tag_ = 0;
    rankexec::Signal::Subscription on_abort_;  // last: ends before the context does
};

}  // namespace digits
