// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/folder_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "rankexec/core/system/local_file_system.hpp"
#include "rankexec/core/system/log.hpp"

namespace rankexec::pipe {

FolderWatch::FolderWatch(const std::vector<int>& folders, std::function<void()> on_change)
    : on_change_(std::move(on_change)),
      events_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    bool watched = events_.valid() && stop_.valid();
    for (const int folder : folders) {
        constexpr std::uint32_t kChanges = IN_MOVE | IN_DELETE | IN_CREATE | IN_DELETE_SELF | IN_ATTRIB | IN_ONLYDIR;
        watched = watched && ::inotify_add_watch(events_.get(), ("/proc/self/fd/" + std::to_string(folder)).c_str(),
                                                 kChanges) >= 0;
    }
    if (!watched) {
        log::warning(
            "a folder cannot be watched, so it is looked at from time to time; raise "
            "fs.inotify.max_user_instances");
        return;
    }
    sees_all_ = std::ranges::all_of(folders, on_local_file_system);
    thread_ = std::thread([this] { run(); });
}

FolderWatch::~FolderWatch() {
    if (!thread_.joinable()) return;
    (void)::eventfd_write(stop_.get(), 1);
    thread_.join();
}

void FolderWatch::run() {
    std::array<pollfd, 2> wanted{pollfd{events_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    while (true) {
        if (::poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) return;
        if (wanted[1].revents != 0) return;
        // What has changed is looked up by whoever waits; an overflow of the queue is a change like any other.
        std::array<char, 4096> events;
        while (::read(events_.get(), events.data(), events.size()) > 0) {
        }
        on_change_();
    }
}

}  // namespace rankexec::pipe
