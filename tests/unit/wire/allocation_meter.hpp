// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace rankexec::wire::test {

/// Measures the memory that operator new hands out on this thread, from construction on. The test
/// program replaces operator new for this. One at a time per thread.
class AllocationMeter {
public:
    AllocationMeter();
    ~AllocationMeter();
    AllocationMeter(const AllocationMeter&) = delete;
    AllocationMeter& operator=(const AllocationMeter&) = delete;

    /// The most bytes that were in use at once.
    [[nodiscard]] std::size_t peak() const;
    /// The largest single request.
    [[nodiscard]] std::size_t largest() const;
};

}  // namespace rankexec::wire::test
