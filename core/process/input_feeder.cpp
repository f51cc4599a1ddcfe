// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/input_feeder.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace rankexec::process {

tl::expected<UniqueFd, StartError> InputFeeder::open() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return tl::make_unexpected(
            StartError{errno, "no pipe for the standard input: " + std::generic_category().message(errno)});
    }
    pipe_.reset(ends[1]);
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    return UniqueFd(ends[0]);
}

bool InputFeeder::write(Bytes bytes) {
    if (!pipe_.valid() || ending_) return true;
    const bool fits = queued_ + bytes.size() <= kQueueBytes;
    if (bytes.empty() || !fits) {
        ending_ = true;
    } else {
        queued_ += bytes.size();
        queue_.push_back(std::move(bytes));
    }
    write_some();
    return fits;
}

void InputFeeder::write_some() {
    while (!queue_.empty()) {
        const auto& front = queue_.front();
        const auto size = ::write(pipe_.get(), front.data() + written_, front.size() - written_);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) break;
        if (size < 0) return close();  // The program closed its input, or is gone.
        written_ += static_cast<std::size_t>(size);
        queued_ -= static_cast<std::size_t>(size);
        if (written_ < front.size()) continue;
        queue_.pop_front();
        written_ = 0;
    }
    if (queue_.empty() && ending_) return close();
    const bool wanted = !queue_.empty();
    if (wanted == watched_) return;
    watched_ = wanted;
    if (wanted) {
        loop_.watch(pipe_.get(), EPOLLOUT, [this](std::uint32_t) { write_some(); });
    } else {
        loop_.unwatch(pipe_.get());
    }
}

void InputFeeder::close() {
    if (watched_) loop_.unwatch(pipe_.get());
    watched_ = false;
    pipe_.reset();
    queue_.clear();
    queued_ = written_ = 0;
}

}  // namespace rankexec::process
