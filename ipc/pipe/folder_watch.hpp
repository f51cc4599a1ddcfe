// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <thread>
#include <vector>

#include "rankexec/core/model/export.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::pipe {

/// Calls back after entries of folders came, went, or changed their names, on a thread of its own, until destroyed.
/// Changes that another host makes in a folder that a network file system shares are not seen.
class RANKEXEC_EXPORT FolderWatch {
public:
    /// `folders` are descriptors, needed only during the call.
    FolderWatch(const std::vector<int>& folders, std::function<void()> on_change);
    ~FolderWatch();
    FolderWatch(const FolderWatch&) = delete;
    FolderWatch& operator=(const FolderWatch&) = delete;

    /// Whether every change is seen: the folders are on a file system of this host, and the system had resources for
    /// watching. If not, look from time to time.
    [[nodiscard]] bool sees_all() const noexcept { return sees_all_; }

private:
    void run();

    std::function<void()> on_change_;
    UniqueFd events_;  ///< inotify
    UniqueFd stop_;    ///< eventfd
    bool sees_all_ = false;
    std::thread thread_;
};

}  // namespace rankexec::pipe
