// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/throw_clock.hpp"

#include <dlfcn.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <typeinfo>

namespace rankexec::worker {
namespace {

struct Throw {
    const void* object;
    std::int64_t when;
};

/// The last throws of a thread. An exception's way may lead through destructors that throw and catch others.
constexpr std::size_t kKept = 16;
// Static: no allocation within a throw.
[[gnu::tls_model("initial-exec")]] thread_local Throw throws[kKept];
[[gnu::tls_model("initial-exec")]] thread_local std::size_t next_throw = 0;

std::int64_t now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

using ThrowFunction = void (*)(void*, std::type_info*, void (*)(void*));

ThrowFunction next_in_line() {
    static const auto kNext = reinterpret_cast<ThrowFunction>(::dlsym(RTLD_NEXT, "__cxa_throw"));
    return kNext;
}

}  // namespace

std::int64_t time_of_throw() {
    const auto current = std::current_exception();
    const void* object = nullptr;
    // All that it holds, in the C++ runtimes of GCC and Clang.
    static_assert(sizeof object == sizeof current);
    std::memcpy(&object, static_cast<const void*>(&current), sizeof object);
    // The newest first: addresses are used again.
    for (std::size_t back = 1; back <= kKept; ++back) {
        const auto& one = throws[(next_throw - back) % kKept];
        if (one.object == object && object != nullptr) return one.when;
    }
    return now();
}

}  // namespace rankexec::worker

/// Stands before the C++ runtime's own, to which it hands on.
extern "C" [[noreturn, gnu::visibility("default")]] void __cxa_throw(void* object, std::type_info* type,
                                                                     void (*destroy)(void*)) {
    using namespace rankexec::worker;
    throws[next_throw++ % kKept] = {object, now()};
    if (const auto next = next_in_line()) next(object, type, destroy);
    std::abort();
}
