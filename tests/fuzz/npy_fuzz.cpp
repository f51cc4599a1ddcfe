// SPDX-License-Identifier: Apache-2.0
// Fuzz target of .npy files: any bytes are an array, which survives being written and read, or an error.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <span>

#include "rankexec/core/numpy/npy.hpp"
#include "rankexec/core/system/unique_fd.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rankexec;
    const auto tensor = numpy::decode_npy(std::as_bytes(std::span(data, size)));
    if (!tensor) return tensor.error().empty() ? (std::abort(), 0) : 0;
    const UniqueFd file(::memfd_create("array", MFD_CLOEXEC));
    if (!numpy::write_npy(file.get(), *tensor) || ::lseek(file.get(), 0, SEEK_SET) != 0) std::abort();
    const auto again = numpy::read_npy(file.get(), size);
    if (!again || !(*again == *tensor)) std::abort();
    return 0;
}
