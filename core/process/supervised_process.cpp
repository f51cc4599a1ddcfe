// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/process/supervised_process.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace rankexec::process {
namespace {

StartError start_error(const std::string& what) {
    return StartError{errno, what + ": " + std::generic_category().message(errno)};
}

/// A memory file that holds `content` and can never change.
tl::expected<UniqueFd, StartError> sealed_file(const Bytes& content) {
    UniqueFd file(::memfd_create("rankexec-bootstrap", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!file.valid()) return tl::make_unexpected(start_error("no memory file for the bootstrap"));
    for (std::size_t done = 0; done < content.size();) {
        const auto size = ::write(file.get(), content.data() + done, content.size() - done);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return tl::make_unexpected(start_error("no memory for the bootstrap"));
        done += static_cast<std::size_t>(size);
    }
    ::lseek(file.get(), 0, SEEK_SET);
    ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    return file;
}

bool stops(int signal) { return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU; }

void send(pid_t target, int signal) {
    ::kill(target, signal);
    if (signal != SIGKILL && signal != SIGCONT && !stops(signal)) ::kill(target, SIGCONT);
}

OutputCapture::Options capture_options(const SupervisedProcess::Options& options) {
    return OutputCapture::Options{.rank = options.rank,
                                  .log_stem = options.log_stem,
                                  .forward = options.forward_output,
                                  .credit = options.output_credit};
}

}  // namespace

SupervisedProcess::SupervisedProcess(EventLoop& loop, Options options, Callbacks callbacks)
    : options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      capture_(loop, capture_options(options_), {callbacks_.report, callbacks_.on_output_end}),
      input_(loop, [this](std::size_t bytes) {
          callbacks_.report(wire::RankInputTaken{options_.rank, bytes});
      }) {}

tl::expected<void, StartError> SupervisedProcess::start(ChildRequest request, const Bytes& bootstrap) {
    UniqueFd input;
    if (options_.has_input) {
        auto reader = input_.open();
        if (!reader) return tl::make_unexpected(reader.error());
        input = std::move(*reader);
    } else {
        input.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!input.valid()) return tl::make_unexpected(start_error("cannot open /dev/null"));
    }
    auto writers = capture_.open();
    if (!writers) return tl::make_unexpected(writers.error());
    UniqueFd blob;
    if (!bootstrap.empty()) {
        auto file = sealed_file(bootstrap);
        if (!file) return tl::make_unexpected(file.error());
        blob = std::move(*file);
        request.inherited.push_back(blob.get());
        set_variable(request.environment, "RANKEXEC_BOOTSTRAP_FD", std::to_string(blob.get()));
    }
    request.standard_input = input.get();
    request.standard_output = writers->output.get();
    request.standard_error = writers->error.get();
    const auto pid = start_child(request);
    if (!pid) return tl::make_unexpected(pid.error());
    pid_ = *pid;
    running_ = true;
    return {};
}

void SupervisedProcess::exited(const ExitStatus& status, bool by_us, bool out_of_memory) {
    running_ = false;
    input_.close();
    capture_.read_written();
    auto words = capture_.last_words();
    if (options_.rank == kLauncher) {
        callbacks_.report(wire::LauncherExited{status, std::move(words.lines)});
    } else {
        callbacks_.report(wire::RankExited{options_.rank, status, by_us, std::move(words.lines), out_of_memory,
                                           std::move(words.stack)});
    }
    capture_.process_exited();
}

void SupervisedProcess::report_tail(std::uint64_t call) {
    capture_.read_if_allowed();
    callbacks_.report(wire::TailReport{options_.rank, call, capture_.last_words().lines});
}

void SupervisedProcess::give_up() {
    input_.close();
    capture_.stop_forwarding();
    if (running_) capture_.process_exited();
    running_ = false;
    capture_.close_pipes();
}

void SupervisedProcess::signal_process(int signal) const {
    if (running_ && signal != 0) send(pid_, signal);
}

void SupervisedProcess::signal_group(int signal) const {
    if (running_ && signal != 0) send(-pid_, signal);
}

void SupervisedProcess::write_input(Bytes bytes) {
    if (input_.write(std::move(bytes))) return;
    const std::string note = "rankexec: rank " + std::to_string(options_.rank) +
                             " does not read its standard input; the rest of it is lost\n";
    [[maybe_unused]] const auto size = ::write(STDERR_FILENO, note.data(), note.size());
}

}  // namespace rankexec::process
