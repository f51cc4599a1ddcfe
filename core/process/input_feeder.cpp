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
    const auto size = bytes.size();
    if (!pipe_.valid() || ending_) {
        if (size > 0) on_taken_(size);
        return true;
    }
    const bool fits = queued_ + size <= kQueueBytes;
    if (size == 0 || !fits) {
        ending_ = true;
    } else {
        queued_ += size;
        queue_.push_back(std::move(bytes));
    }
    write_some();
    if (!fits) on_taken_(size);
    return fits;
}

void InputFeeder::write_some() {
    std::size_t taken = 0;
    while (!queue_.empty()) {
        const auto& front = queue_.front();
        const auto size = ::write(pipe_.get(), front.data() + written_, front.size() - written_);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) break;
        if (size < 0) {  // The program closed its input, or is gone.
            if (taken > 0) on_taken_(taken);
            return close();
        }
        taken += static_cast<std::size_t>(size);
        written_ += static_cast<std::size_t>(size);
        queued_ -= static_cast<std::size_t>(size);
        if (written_ < front.size()) continue;
        queue_.pop_front();
        written_ = 0;
    }
    watch_if(!queue_.empty());
    if (queue_.empty() && ending_) close_pipe();
    if (taken > 0) on_taken_(taken);
}

void InputFeeder::watch_if(bool wanted) {
    if (wanted == watched_) return;
    watched_ = wanted;
    if (wanted) {
        loop_.watch(pipe_.get(), EPOLLOUT, [this](std::uint32_t) { write_some(); });
    } else {
        loop_.unwatch(pipe_.get());
    }
}

void InputFeeder::close() {
    const auto left = queued_;
    close_pipe();
    if (left > 0) on_taken_(left);
}

void InputFeeder::close_pipe() {
    if (pipe_.valid()) watch_if(false);
    pipe_.reset();
    queue_.clear();
    queued_ = written_ = 0;
}

}  // namespace rankexec::process
