// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/whole_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::job {
namespace {

bool write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const auto count = ::write(fd, content.data(), content.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        content.remove_prefix(static_cast<std::size_t>(count));
    }
    return ::fsync(fd) == 0;
}

}  // namespace

tl::expected<void, Failure> write_whole_file(const std::filesystem::path& path, std::string_view content) {
    static std::atomic<unsigned> counter{0};
    const auto beside = path.string() + ".new-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
    const UniqueFd fd(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (fd.valid() && write_all(fd.get(), content) && ::rename(beside.c_str(), path.c_str()) == 0) return {};
    Failure failure;
    failure.message = "cannot write " + path.string() + ": " + std::generic_category().message(errno);
    ::unlink(beside.c_str());
    return tl::unexpected(std::move(failure));
}

}  // namespace rankexec::job
