// SPDX-License-Identifier: Apache-2.0
#include "unit/job_backend/end_recorder.hpp"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job::test {

void RunFolder::wait_for_text(const std::filesystem::path& path, const std::string& text) const {
    EXPECT_TRUE(wait_in(path.parent_path(), [&] { return text_of(path) == text; })) << path << ": " << text_of(path);
}

bool RunFolder::wait_in(const std::filesystem::path& folder, const std::function<bool()>& condition) {
    const UniqueFd events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    EXPECT_GE(::inotify_add_watch(events.get(), folder.c_str(), IN_CREATE | IN_MODIFY | IN_MOVED_TO), 0);
    const auto deadline = std::chrono::steady_clock::now() + kLong;
    while (!condition()) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        pollfd poll{events.get(), POLLIN, 0};
        if (::poll(&poll, 1, std::max(0, static_cast<int>(left.count()))) <= 0) return condition();
        std::array<char, 4096> ignored{};
        while (::read(events.get(), ignored.data(), ignored.size()) > 0) {
        }
    }
    return true;
}

std::vector<std::string> RunFolder::children_of_this_process() {
    std::vector<std::string> children;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream in(task.path() / "children");
        for (std::string pid; in >> pid;) {
            std::ifstream command("/proc/" + pid + "/comm");
            std::string name;
            std::getline(command, name);
            children.push_back(pid + " " + name);
        }
    }
    return children;
}

}  // namespace rankexec::job::test
