// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/model/wiping.hpp"

#include <array>

namespace rankexec {
namespace {

/// More than what the dynamic linker and the C library need below a caller of ours.
constexpr std::size_t kScratchStack = std::size_t{64} << 10U;

[[gnu::noinline]] void wipe_stack() {
    std::array<std::byte, kScratchStack> stack;
    ::explicit_bzero(stack.data(), stack.size());
}

// All vector registers are the callee's to change (System V ABI for x86-64, 3.2.1); only code that is built for
// them may name the upper half as clobbered.
#ifdef __x86_64__
[[gnu::noinline, gnu::target("avx")]] void wipe_low_registers() { __asm__ volatile("vzeroall" ::: "memory"); }

[[gnu::noinline, gnu::target("avx512f")]] void wipe_high_registers() {
    __asm__ volatile(
        "vpxorq %%zmm16, %%zmm16, %%zmm16\n\tvpxorq %%zmm17, %%zmm17, %%zmm17\n\t"
        "vpxorq %%zmm18, %%zmm18, %%zmm18\n\tvpxorq %%zmm19, %%zmm19, %%zmm19\n\t"
        "vpxorq %%zmm20, %%zmm20, %%zmm20\n\tvpxorq %%zmm21, %%zmm21, %%zmm21\n\t"
        "vpxorq %%zmm22, %%zmm22, %%zmm22\n\tvpxorq %%zmm23, %%zmm23, %%zmm23\n\t"
        "vpxorq %%zmm24, %%zmm24, %%zmm24\n\tvpxorq %%zmm25, %%zmm25, %%zmm25\n\t"
        "vpxorq %%zmm26, %%zmm26, %%zmm26\n\tvpxorq %%zmm27, %%zmm27, %%zmm27\n\t"
        "vpxorq %%zmm28, %%zmm28, %%zmm28\n\tvpxorq %%zmm29, %%zmm29, %%zmm29\n\t"
        "vpxorq %%zmm30, %%zmm30, %%zmm30\n\tvpxorq %%zmm31, %%zmm31, %%zmm31" ::
            : "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
              "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

void wipe_registers() {
    if (__builtin_cpu_supports("avx")) wipe_low_registers();
    if (__builtin_cpu_supports("avx512f")) wipe_high_registers();
}
#else
// The next copy of as many bytes as a bootstrap has goes through the same registers.
void wipe_registers() {
    std::array<std::byte, 1024> from{};
    std::array<std::byte, 1024> to;
    for (std::size_t size = 16; size <= from.size(); size *= 2) {
        std::memcpy(to.data(), from.data(), size);
        __asm__ volatile("" ::"r"(to.data()) : "memory");
    }
}
#endif

}  // namespace

void wipe_scratch() noexcept {
    wipe_registers();
    wipe_stack();
}

}  // namespace rankexec
