// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/output_capture.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace rankexec::process {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{64} * 1024;

/// Both ends close-on-exec; only ours does not block.
tl::expected<UniqueFd, StartError> make_pipe(UniqueFd& reader) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return tl::make_unexpected(
            StartError{errno, "no pipe for the output: " + std::generic_category().message(errno)});
    }
    reader.reset(ends[0]);
    UniqueFd writer(ends[1]);
    ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
    return writer;
}

}  // namespace

OutputCapture::OutputCapture(EventLoop& loop, Options options, Callbacks callbacks)
    : loop_(loop), options_(std::move(options)), callbacks_(std::move(callbacks)) {
    streams_[0].id = wire::OutputStream::standard_output;
    streams_[1].id = wire::OutputStream::standard_error;
}

OutputCapture::~OutputCapture() {
    loop_.cancel(drain_timer_);
    for (auto& stream : streams_) {
        if (stream.watched) loop_.unwatch(stream.pipe.get());
    }
}

tl::expected<OutputCapture::Writers, StartError> OutputCapture::open() {
    Writers writers;
    auto output = make_pipe(streams_[0].pipe);
    if (!output) return tl::make_unexpected(output.error());
    auto error = make_pipe(streams_[1].pipe);
    if (!error) return tl::make_unexpected(error.error());
    if (!options_.log_stem.empty()) {
        for (auto& stream : streams_) {
            const auto path = log_path(stream);
            // Opening a FIFO would wait for its reader, here where everything is waited for.
            stream.log.reset(
                ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666));
            struct stat status {};
            const bool opened = stream.log.valid() && ::fstat(stream.log.get(), &status) == 0;
            if (!opened && errno != ENXIO) {
                return tl::make_unexpected(
                    StartError{0, "cannot write log file '" + path + "': " + std::generic_category().message(errno)});
            }
            if (!opened || !(S_ISREG(status.st_mode) || S_ISCHR(status.st_mode))) {
                return tl::make_unexpected(
                    StartError{0, "cannot write log file '" + path + "': it exists and is no regular file"});
            }
        }
    }
    writers.output = std::move(*output);
    writers.error = std::move(*error);
    update_watches();
    return writers;
}

std::string OutputCapture::log_path(const Stream& stream) const {
    return options_.log_stem + (stream.id == wire::OutputStream::standard_output ? ".out" : ".err");
}

bool OutputCapture::may_read() const { return !options_.forward || (options_.credit > 0 && pending_.empty()); }

void OutputCapture::update_watches() {
    const bool wanted = may_read();
    for (auto& stream : streams_) {
        if (!stream.pipe.valid() || stream.watched == wanted) continue;
        stream.watched = wanted;
        if (wanted) {
            loop_.watch(stream.pipe.get(), EPOLLIN, [this, &stream](std::uint32_t) { read_some(stream); });
        } else {
            loop_.unwatch(stream.pipe.get());
        }
    }
}

void OutputCapture::read_some(Stream& stream) {
    std::array<char, kPieceBytes> buffer;
    const auto wanted =
        options_.forward ? std::min<std::uint64_t>(buffer.size(), options_.credit) : std::uint64_t{buffer.size()};
    const auto size = ::read(stream.pipe.get(), buffer.data(), static_cast<std::size_t>(wanted));
    if (size > 0) {
        take(stream, std::string_view(buffer.data(), static_cast<std::size_t>(size)));
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_pipe(stream);
    }
    update_watches();
    finish_if_done();
}

void OutputCapture::read_available(Stream& stream) {
    // What is in the pipe now, and no more: whoever else holds it may write without end.
    int available = 0;
    if (!stream.pipe.valid() || ::ioctl(stream.pipe.get(), FIONREAD, &available) != 0) return;
    std::array<char, kPieceBytes> buffer;
    while (available > 0) {
        const auto size =
            ::read(stream.pipe.get(), buffer.data(), std::min(buffer.size(), static_cast<std::size_t>(available)));
        if (size <= 0) return;
        take(stream, std::string_view(buffer.data(), static_cast<std::size_t>(size)));
        available -= static_cast<int>(size);
    }
}

void OutputCapture::take(Stream& stream, std::string_view bytes) {
    write_log(stream, bytes);
    if (stream.id == wire::OutputStream::standard_error) tail_.append(bytes);
    if (!options_.forward) return;
    wire::RankOutput output;
    output.rank = options_.rank;
    output.stream = stream.id;
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    output.bytes.assign(begin, begin + bytes.size());
    pending_.push_back(std::move(output));
    send_pending();
}

void OutputCapture::write_log(Stream& stream, std::string_view bytes) {
    while (stream.log.valid() && !bytes.empty()) {
        const auto size = ::write(stream.log.get(), bytes.data(), bytes.size());
        if (size >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(size));
        } else if (errno != EINTR) {
            // A full disk ends this log, not the rank.
            const auto reason = std::generic_category().message(errno);
            const auto note = "rankexec: log " + log_path(stream) + " ends here: " + reason + "\n";
            if (log_error_.empty()) log_error_ = "log " + log_path(stream) + " is incomplete: " + reason;
            stream.log.reset();
            tail_.append(note);
            [[maybe_unused]] const auto written = ::write(STDERR_FILENO, note.data(), note.size());
        }
    }
}

void OutputCapture::send_pending() {
    while (!pending_.empty() && options_.credit > 0) {
        auto& front = pending_.front();
        if (front.bytes.size() <= options_.credit) {
            options_.credit -= front.bytes.size();
            auto whole = std::move(front);
            pending_.pop_front();
            callbacks_.report(std::move(whole));
            continue;
        }
        const auto cut = front.bytes.begin() + static_cast<std::ptrdiff_t>(options_.credit);
        wire::RankOutput part{front.rank, front.stream, Bytes(front.bytes.begin(), cut)};
        front.bytes.erase(front.bytes.begin(), cut);
        options_.credit = 0;
        callbacks_.report(std::move(part));
    }
}

void OutputCapture::grant(std::uint64_t bytes) {
    // Saturates: no sum of grants wraps around to none.
    options_.credit = bytes > UINT64_MAX - options_.credit ? UINT64_MAX : options_.credit + bytes;
    if (finished_) return;
    send_pending();
    update_watches();
    finish_if_done();
}

void OutputCapture::read_written() {
    for (auto& stream : streams_) read_available(stream);
}

void OutputCapture::read_if_allowed() {
    if (!may_read()) return;
    read_written();
    update_watches();
}

void OutputCapture::process_exited() {
    exited_ = true;
    drain_timer_ = loop_.call_after(kDrainTime, [this] {
        drain_timer_ = 0;
        close_pipes();
    });
    update_watches();
    finish_if_done();
}

void OutputCapture::stop_forwarding() {
    options_.forward = false;
    pending_.clear();
    update_watches();
    finish_if_done();
}

void OutputCapture::close_pipes() {
    for (auto& stream : streams_) {
        read_available(stream);
        close_pipe(stream);
    }
    finish_if_done();
}

void OutputCapture::close_pipe(Stream& stream) {
    if (stream.watched) loop_.unwatch(stream.pipe.get());
    stream.watched = false;
    stream.pipe.reset();
    stream.log.reset();
}

void OutputCapture::finish_if_done() {
    if (!exited_ || finished_ || !pending_.empty() || streams_[0].pipe.valid() || streams_[1].pipe.valid()) return;
    finished_ = true;
    loop_.cancel(drain_timer_);
    callbacks_.report(wire::RankOutputEnd{options_.rank, log_error_});
    if (callbacks_.on_finished) callbacks_.on_finished();
}

}  // namespace rankexec::process
