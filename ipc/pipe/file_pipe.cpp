// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/file_pipe.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/ipc/pipe/folder_watch.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec {
namespace {

/// More of what is no message is deleted instead of being kept.
constexpr std::size_t kKeptAside = 16;
constexpr std::size_t kShownName = 80;

std::string reason() { return std::generic_category().message(errno); }

}  // namespace

FilePipe::FilePipe(Options options) : options_(std::move(options)), session_(random_run_id()) {
    if (!options_.root.starts_with('/') || options_.root.find('\0') != std::string::npos) {
        throw ConfigurationError(ConfigurationError::Kind::option,
                                 "file pipe: the folder \"" + printable(options_.root, kShownName) +
                                     "\" is no absolute path; both ends must name it in full");
    }
}

FilePipe::~FilePipe() { close(); }

tl::expected<void, Failure> FilePipe::open(Milliseconds /*timeout*/) {
    if (state_ != State::fresh) {
        Failure failure;
        failure.code = ReturnCode::launch_error;
        failure.message = describe() + ": was opened before; a pipe is opened once";
        return tl::unexpected(std::move(failure));
    }
    auto folders = pipe::PipeFolders::open(options_.root, options_.mode);
    if (!folders) return tl::unexpected(folders.error());
    folders_ = std::move(*folders);
    std::vector<std::string> names;
    (void)pipe::list(folders_->outgoing(), names);
    for (const auto& name : names) names_.after(name);
    if (options_.events) {
        watch_ = std::make_unique<pipe::FolderWatch>(
            std::vector{folders_->root(), folders_->outgoing(), folders_->incoming()}, [this] { room_.notify(); });
    }
    state_ = State::open;
    return {};
}

void FilePipe::close() {
    const auto before = state_.exchange(State::closed);
    room_.notify();
    if (before != State::open || options_.mode != PipeMode::passive) return;
    // The descriptors stay open until the end: another thread may be using them.
    const std::lock_guard lock(reading_);
    folders_->remove();
}

void FilePipe::clear() {
    if (not_open()) return;
    const std::lock_guard lock(reading_);
    std::vector<std::string> names;
    for (const int folder : {folders_->incoming(), folders_->outgoing()}) {
        (void)pipe::list(folder, names);
        for (const auto& name : names) pipe::discard(folder, name);
    }
}

tl::expected<pipe::EncodedMessage, PipeError> FilePipe::encode(const PipeMessage& message) const {
    auto encoded = pipe::encode(message, options_.limits);
    if (!encoded) return tl::unexpected(PipeError{PipeError::Kind::bad_message, describe() + ": " + encoded.error()});
    return std::move(*encoded);
}

std::optional<PipeError> FilePipe::not_open() const {
    if (state_ == State::open) return std::nullopt;
    return PipeError{PipeError::Kind::closed,
                     describe() + (state_ == State::fresh ? ": has not been opened" : ": was closed")};
}

PipeError FilePipe::broken(const std::string& what) const {
    if (state_ != State::open) return *not_open();
    return {PipeError::Kind::broken, describe() + ": " + what};
}

/// A full disk is no end of the pipe: there may be room again.
PipeError FilePipe::not_sent(const std::string& why) const {
    if (pipe::is_gone(folders_->temporary()) || pipe::is_gone(folders_->outgoing())) {
        return broken("the peer has closed it, or its folder is gone");
    }
    return {PipeError::Kind::not_sent, describe() + ": a message could not be written: " + why};
}

std::string FilePipe::own_name() {
    const std::lock_guard lock(names_mutex_);
    return (options_.mode == PipeMode::passive ? "passive-" : "active-") + names_.next();
}

tl::expected<UniqueFd, PipeError> FilePipe::write_temporary(const std::string& name,
                                                            const pipe::EncodedMessage& message) {
    UniqueFd file(::openat(folders_->temporary(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           S_IRUSR | S_IWUSR));
    if (!file.valid()) return tl::unexpected(not_sent(reason()));
    step(PipeStep::encoded);
    if (const auto written = pipe::write_message_file(file.get(), pipe::to_frames(session_, message)); !written) {
        (void)::unlinkat(folders_->temporary(), name.c_str(), 0);
        return tl::unexpected(not_sent(written.error()));
    }
    step(PipeStep::written);
    return file;
}

Pipe::Result FilePipe::send(const pipe::EncodedMessage& message, Milliseconds timeout, const Signal& cancel) {
    if (auto error = not_open()) return tl::unexpected(std::move(*error));
    const auto subscription = room_.follow(cancel);
    const auto temporary = own_name();
    const auto file = write_temporary(temporary, message);
    if (!file) return tl::unexpected(file.error());
    const bool heartbeat = message.topic == kHeartbeatTopic;
    std::string name(pipe::kHeartbeatName);
    int renamed = 0;
    {
        // Named and published in one: what comes later must not be found first.
        const std::lock_guard lock(names_mutex_);
        if (!heartbeat) name = names_.next();
        renamed = ::renameat(folders_->temporary(), temporary.c_str(), folders_->outgoing(), name.c_str());
    }
    if (renamed != 0) {
        const auto error = reason();
        (void)::unlinkat(folders_->temporary(), temporary.c_str(), 0);
        return tl::unexpected(not_sent(error));
    }
    step(PipeStep::published);
    if (heartbeat) return {};
    return wait_until_taken(name, file->get(), timeout, cancel);
}

Pipe::Result FilePipe::vanished(int file) const {
    struct stat status {};
    if (::fstat(file, &status) == 0 && status.st_size == 0) {
        // Our own end empties it too when it is closed, before its folders go.
        if (auto error = not_open()) return tl::unexpected(std::move(*error));
        if (pipe::is_gone(folders_->outgoing())) return tl::unexpected(broken("the peer has closed it"));
        return tl::unexpected(PipeError{PipeError::Kind::not_taken,
                                        describe() + ": the message was thrown away, because the pipe was emptied"});
    }
    step(PipeStep::confirmed);
    return {};
}

Pipe::Result FilePipe::wait_until_taken(const std::string& name, int file, Milliseconds timeout, const Signal& cancel) {
    const auto deadline = pipe::deadline_after(timeout);
    while (true) {
        const auto seen = room_.changes();
        if (::faccessat(folders_->outgoing(), name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT) {
            return vanished(file);
        }
        const bool over = pipe::Clock::now() >= deadline;
        if (over || cancel.triggered() || state_ != State::open) {
            // Whoever is first has it: gone already means taken.
            if (::unlinkat(folders_->outgoing(), name.c_str(), 0) != 0) {
                if (errno == ENOENT) return vanished(file);
                return tl::unexpected(broken("a message could not be withdrawn: " + reason()));
            }
            if (auto error = not_open()) return tl::unexpected(std::move(*error));
            if (!over)
                return tl::unexpected(PipeError{PipeError::Kind::cancelled, describe() + ": " + cancel.reason()});
            return tl::unexpected(PipeError{PipeError::Kind::not_taken, describe() +
                                                                            ": the peer has not taken the "
                                                                            "message within " +
                                                                            std::to_string(timeout.count()) +
                                                                            " ms; see whether it still runs"});
        }
        wait(seen, deadline);
    }
}

void FilePipe::wait(std::uint64_t seen, pipe::Clock::time_point deadline) {
    room_.wait(seen, watch_ != nullptr && watch_->sees_all() ? deadline
                                                             : std::min(deadline, pipe::Clock::now() + look_every_));
}

Pipe::Received FilePipe::receive(Milliseconds timeout, const Signal& cancel) {
    const auto subscription = room_.follow(cancel);
    const auto deadline = pipe::deadline_after(timeout);
    while (true) {
        if (auto error = not_open()) return tl::unexpected(std::move(*error));
        if (cancel.triggered()) {
            return tl::unexpected(PipeError{PipeError::Kind::cancelled, describe() + ": " + cancel.reason()});
        }
        const auto seen = room_.changes();
        auto received = take_oldest();
        if (!received || *received) return received;
        if (pipe::Clock::now() >= deadline) return std::nullopt;
        wait(seen, deadline);
    }
}

Pipe::Received FilePipe::take_oldest() {
    const std::lock_guard lock(reading_);
    if (auto error = not_open()) return tl::unexpected(std::move(*error));
    std::vector<std::string> names;
    if (!pipe::list(folders_->incoming(), names) || (names.empty() && pipe::is_gone(folders_->incoming()))) {
        return tl::unexpected(broken("the peer has closed it, or its folder is gone"));
    }
    // A heartbeat has no place in the order: it says that the peer lives, and there is at most one.
    std::ranges::stable_partition(names, [](const auto& name) { return name == pipe::kHeartbeatName; });
    for (const auto& name : names) {
        if (in_the_way_.contains(name)) continue;
        if (name != pipe::kHeartbeatName && !pipe::is_message_file_name(name)) {
            put_aside(folders_->incoming(), name);
            return tl::unexpected(
                PipeError{PipeError::Kind::bad_message, describe() + ": \"" + printable(name, kShownName) +
                                                            "\" is no message of a pipe; it was put aside into " +
                                                            options_.root + "/refused"});
        }
        step(PipeStep::arrived);
        const auto own = own_name();
        // Withdrawn by its sender in the meantime: not ours any more.
        if (::renameat(folders_->incoming(), name.c_str(), folders_->temporary(), own.c_str()) != 0) continue;
        step(PipeStep::claimed);
        return read(name, own);
    }
    return std::nullopt;
}

Pipe::Received FilePipe::read(const std::string& name, const std::string& own_name) {
    const auto refused = [&](const std::string& what) {
        put_aside(folders_->temporary(), own_name);
        return tl::unexpected(PipeError{
            PipeError::Kind::bad_message,
            describe() + ": the file " + name + ": " + what + "; it was put aside into " + options_.root + "/refused"});
    };
    // Not blocking: it may be a pipe of the system's.
    const UniqueFd file(
        ::openat(folders_->temporary(), own_name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid()) return refused("could not be opened: " + reason());
    const auto frames = pipe::read_message_file(file.get(), options_.limits);
    if (!frames) return refused(frames.error());
    const auto envelope = pipe::decode_envelope(*frames);
    if (!envelope) return refused(envelope.error());
    auto message = pipe::decode_message(*envelope, *frames, options_.limits);
    if (!message) return refused(message.error());
    step(PipeStep::read);
    (void)::unlinkat(folders_->temporary(), own_name.c_str(), 0);
    step(PipeStep::removed);
    return std::move(*message);
}

void FilePipe::put_aside(int folder, const std::string& name) {
    std::vector<std::string> kept;
    const bool room = pipe::list(folders_->refused(), kept) && kept.size() < kKeptAside;
    if (room && ::renameat(folder, name.c_str(), folders_->refused(), own_name().c_str()) == 0) return;
    pipe::discard(folder, name);
    if (::faccessat(folder, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        log::warning(describe() + ": \"" + printable(name, kShownName) + "\" is in the way and cannot be removed");
        in_the_way_.insert(name);
    }
}

}  // namespace rankexec
