// SPDX-License-Identifier: Apache-2.0
#include "allocation_meter.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace {

struct Usage {
    bool metering = false;
    std::int64_t in_use = 0;
    std::int64_t peak = 0;
    std::size_t largest = 0;
};

thread_local Usage usage;

void* note_allocation(void* memory, std::size_t size) {
    if (memory == nullptr) throw std::bad_alloc();
    if (usage.metering) {
        usage.in_use += static_cast<std::int64_t>(malloc_usable_size(memory));
        usage.peak = std::max(usage.peak, usage.in_use);
        usage.largest = std::max(usage.largest, size);
    }
    return memory;
}

void release(void* memory) noexcept {
    if (usage.metering && memory != nullptr) usage.in_use -= static_cast<std::int64_t>(malloc_usable_size(memory));
    std::free(memory);
}

}  // namespace

// Every other form of new and delete calls one of these.
void* operator new(std::size_t size) { return note_allocation(std::malloc(std::max<std::size_t>(size, 1)), size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto boundary = static_cast<std::size_t>(alignment);
    const auto rounded = (std::max<std::size_t>(size, 1) + boundary - 1) / boundary * boundary;
    return note_allocation(std::aligned_alloc(boundary, rounded), size);
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

namespace rankexec::wire::test {

AllocationMeter::AllocationMeter() { usage = {.metering = true}; }
AllocationMeter::~AllocationMeter() { usage.metering = false; }
std::size_t AllocationMeter::peak() const { return static_cast<std::size_t>(usage.peak); }
std::size_t AllocationMeter::largest() const { return usage.largest; }

}  // namespace rankexec::wire::test
