// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <tl/expected.hpp>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/process/child_process.hpp"
#include "rankexec/core/process/input_feeder.hpp"
#include "rankexec/core/process/output_capture.hpp"
#include "rankexec/core/system/event_loop.hpp"
#include "rankexec/ipc/wire/messages.hpp"

namespace rankexec::process {

/// One program under supervision, a rank's or the launcher command: its process, input and output.
/// Whoever owns it reaps the process and says so with exited(). One thread, that of the loop.
class SupervisedProcess {
public:
    static constexpr std::int32_t kLauncher = -1;

    struct Options {
        std::int32_t rank = 0;  ///< kLauncher: the launcher command
        std::string host;
        std::string log_stem;  ///< see OutputCapture
        bool forward_output = true;
        std::uint64_t output_credit = 0;
        bool has_input = false;  ///< otherwise it reads /dev/null
    };
    struct Callbacks {
        std::function<void(wire::Message&&)> report;
        std::function<void()> on_output_end;  ///< not before exited()
    };

    SupervisedProcess(EventLoop& loop, Options options, Callbacks callbacks);

    /// Starts it; `request` needs no descriptors. `bootstrap` is handed over in a sealed memory file.
    [[nodiscard]] tl::expected<void, StartError> start(ChildRequest request, const Bytes& bootstrap);

    [[nodiscard]] std::int32_t rank() const noexcept { return options_.rank; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// From start() until exited().
    [[nodiscard]] bool running() const noexcept { return running_; }
    [[nodiscard]] bool output_ended() const noexcept { return capture_.finished(); }

    /// The process is a zombie now: reports its last output, and RankExited or LauncherExited.
    /// `out_of_memory`: it was the kernel's out-of-memory killer.
    void exited(const ExitStatus& status, bool by_us, bool out_of_memory);
    /// Reports what it has written to its standard error last.
    void report_tail(std::uint64_t call);
    /// Nobody waits for it any more although it may live on: output ends now.
    void give_up();

    /// Signals the process, or its whole process group, while it runs. SIGCONT follows whatever does
    /// not stop it, because a stopped process gets nothing else.
    void signal_process(int signal) const;
    void signal_group(int signal) const;

    void grant_output(std::uint64_t bytes) { capture_.grant(bytes); }
    void stop_forwarding() { capture_.stop_forwarding(); }
    void write_input(Bytes bytes);

private:
    Options options_;
    Callbacks callbacks_;
    OutputCapture capture_;
    InputFeeder input_;
    pid_t pid_ = 0;
    bool running_ = false;
};

}  // namespace rankexec::process
