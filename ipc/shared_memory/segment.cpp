// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/shared_memory/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "rankexec/core/system/resources.hpp"

namespace rankexec {
namespace {

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

constexpr int kFixedSize = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

tl::unexpected<std::string> failed(const std::string& what, int error) {
    return tl::unexpected("shared memory: " + what + ": " + std::generic_category().message(error));
}

tl::expected<std::byte*, std::string> map_pages(int descriptor, std::size_t size, Segment::Access access) {
    const int protection = access == Segment::Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
    // The pages are there; without MAP_POPULATE each first access would fault.
    void* const memory = ::mmap(nullptr, size, protection, MAP_SHARED | MAP_POPULATE, descriptor, 0);
    if (memory == MAP_FAILED) return failed("mmap of " + std::to_string(size) + " bytes", errno);
    return static_cast<std::byte*>(memory);
}

}  // namespace

tl::expected<Segment, std::string> Segment::create(std::size_t size, Access peers) {
    if (const auto available = available_memory(); size > available) {
        return tl::unexpected("shared memory: " + std::to_string(size) + " bytes are needed, " +
                              std::to_string(available) + " are left on this host");
    }
    UniqueFd descriptor(::memfd_create("rankexec", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!descriptor.valid()) return failed("memfd_create", errno);
    if (::ftruncate(descriptor.get(), static_cast<off_t>(size)) != 0) return failed("ftruncate", errno);
    int error = EINTR;
    while (error == EINTR) error = ::posix_fallocate(descriptor.get(), 0, static_cast<off_t>(size));
    if (error != 0) return failed("allocating " + std::to_string(size) + " bytes", error);
    auto memory = map_pages(descriptor.get(), size, Access::read_write);
    if (!memory) return tl::unexpected(memory.error());
    Segment segment(std::move(descriptor), *memory, size);
    const int seals = kFixedSize | (peers == Access::read ? F_SEAL_FUTURE_WRITE : 0);
    if (::fcntl(segment.descriptor(), F_ADD_SEALS, seals) != 0) return failed("sealing", errno);
    return segment;
}

tl::expected<Segment, std::string> Segment::map(UniqueFd descriptor, std::size_t size, Access access) {
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0) return failed("fstat", errno);
    const int seals = ::fcntl(descriptor.get(), F_GET_SEALS);
    if (seals < 0) return failed("the descriptor is no memfd", errno);
    if ((seals & kFixedSize) != kFixedSize) {
        return tl::unexpected(
            std::string("shared memory: the peer's segment is not sealed against changes of its size"));
    }
    if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) != size) {
        return tl::unexpected("shared memory: the peer's segment has " + std::to_string(status.st_size) +
                              " bytes, expected " + std::to_string(size));
    }
    auto memory = map_pages(descriptor.get(), size, access);
    if (!memory) return tl::unexpected(memory.error());
    return Segment(std::move(descriptor), *memory, size);
}

Segment::Segment(Segment&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      memory_(std::exchange(other.memory_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Segment& Segment::operator=(Segment&& other) noexcept {
    Segment taken(std::move(other));
    std::swap(descriptor_, taken.descriptor_);
    std::swap(memory_, taken.memory_);
    std::swap(size_, taken.size_);
    return *this;
}

Segment::~Segment() {
    if (memory_ != nullptr) ::munmap(memory_, size_);
}

}  // namespace rankexec
