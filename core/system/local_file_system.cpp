// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/local_file_system.hpp"

#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace rankexec {
namespace {

/// Of statfs(2): ext2 to ext4, XFS, Btrfs, tmpfs, ramfs, overlay, F2FS, ZFS.
constexpr std::array<std::uint32_t, 8> kLocal{0xEF53,     0x58465342, 0x9123683E, 0x01021994,
                                              0x858458f6, 0x794c7630, 0xF2F52010, 0x2FC12FC1};

}  // namespace

bool on_local_file_system(int fd) noexcept {
    struct statfs status {};
    return ::fstatfs(fd, &status) == 0 &&
           std::ranges::find(kLocal, static_cast<std::uint32_t>(status.f_type)) != kLocal.end();
}

}  // namespace rankexec
