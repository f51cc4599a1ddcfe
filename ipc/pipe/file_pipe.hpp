// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/pipe/message_file.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"
#include "rankexec/ipc/pipe/pipe_folders.hpp"
#include "rankexec/ipc/pipe/wait_room.hpp"

namespace rankexec {
namespace pipe {
class FolderWatch;
}

/// How often a file pipe looks where no event tells it to.
inline constexpr std::chrono::milliseconds kLookEvery{100};

/// A pipe through files in a folder that both ends see: one file per message. It needs no network and survives the
/// restart of either end. Whoever may write to the folder is the peer: all that the pipe makes has mode 0700 or 0600.
///
/// On a file system of this host both ends sleep until the kernel tells of a change. On any other one (NFS, a parallel
/// file system, FUSE) the kernel does not hear of what another host does; there, and where the system has no more
/// inotify instances, they look every `look_every` as well.
///
/// A message counts as taken when its file has been renamed away by the reader. A reader that is killed after that
/// has lost it: whoever must know waits for a reply. A sender or reader that is killed at any step leaves at most a
/// file in `temporary`, which the next process of that end removes, and disturbs nothing else. Closing the passive
/// end removes the folders, and the peer's calls then fail as broken; closing the active end is not seen by the peer.
class RANKEXEC_EXPORT FilePipe final : public Pipe {
public:
    struct Options {
        std::string root;  ///< absolute; the folder above it must exist
        PipeMode mode = PipeMode::passive;
        wire::Limits limits;
        /// False: look every `look_every` even where events should come; for file systems that only seem to be this
        /// host's.
        bool events = true;
        OnPipeStep on_step = {};
    };
    /// Touches nothing. Throws ConfigurationError when root is not an absolute path.
    explicit FilePipe(Options options);
    ~FilePipe() override;

    [[nodiscard]] tl::expected<void, Failure> open(Milliseconds timeout) override;
    void close() override;
    void clear() override;
    [[nodiscard]] tl::expected<pipe::EncodedMessage, PipeError> encode(const PipeMessage& message) const override;
    using Pipe::send;
    [[nodiscard]] Result send(const pipe::EncodedMessage& message, Milliseconds timeout, const Signal& cancel) override;
    [[nodiscard]] Received receive(Milliseconds timeout, const Signal& cancel = {}) override;
    [[nodiscard]] bool can_resend() const noexcept override { return false; }
    void look_every(Milliseconds interval) override { look_every_ = interval; }
    [[nodiscard]] std::string describe() const override { return "file pipe " + options_.root; }

private:
    enum class State : std::uint8_t { fresh, open, closed };
    struct Sending;

    [[nodiscard]] std::optional<PipeError> not_open() const;
    [[nodiscard]] tl::expected<UniqueFd, PipeError> write_temporary(const std::string& name,
                                                                    const pipe::EncodedMessage& message);
    [[nodiscard]] Result wait_until_taken(const std::string& name, int file, Milliseconds timeout,
                                          const Signal& cancel);
    /// After the name has vanished: taken, or thrown away?
    [[nodiscard]] Result vanished(int file) const;
    void wait(std::uint64_t seen, pipe::Clock::time_point deadline);
    [[nodiscard]] Received take_oldest();
    [[nodiscard]] Received read(const std::string& name, const std::string& own_name);
    void put_aside(int folder, const std::string& name);
    [[nodiscard]] std::string own_name();
    [[nodiscard]] PipeError broken(const std::string& what) const;
    [[nodiscard]] PipeError not_sent(const std::string& why) const;
    void step(PipeStep at) const {
        if (options_.on_step) options_.on_step(at);
    }

    Options options_;
    std::string session_;
    std::chrono::milliseconds look_every_ = kLookEvery;
    std::atomic<State> state_ = State::fresh;
    std::optional<pipe::PipeFolders> folders_;
    pipe::WaitRoom room_;
    std::unique_ptr<pipe::FolderWatch> watch_;
    std::mutex names_mutex_;
    pipe::MessageFileNames names_;
    std::set<std::string, std::less<>> in_the_way_;  ///< cannot be removed, and is not looked at again
    std::mutex reading_;                             ///< what is being taken is neither cleared nor removed
};

}  // namespace rankexec
