// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/executor/outside/agent_pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/rank_variables.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"
#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec {
namespace {

static_assert(std::string_view(exchange::kAgentVariable) == kAgentAddressVariable);

tl::unexpected<Failure> launch_failure(std::string message) {
    Failure failure;
    failure.code = ReturnCode::launch_error;
    failure.message = std::move(message);
    return tl::unexpected(std::move(failure));
}

/// A name that nobody can guess, below the user's folder or where sockets go.
tl::expected<std::string, Failure> choose_folder(const ExchangePipeOptions& options) {
    if (options.directory.empty()) return choose_run_directory();
    constexpr std::size_t kDigits = 16;
    if (::access(options.directory.c_str(), W_OK | X_OK) != 0) {
        return launch_failure("the pipe's files cannot be in " + options.directory +
                              " (pipe_directory): " + std::generic_category().message(errno) +
                              "; name an existing folder that can be written to");
    }
    return options.directory + "/rx-" + random_run_id().substr(0, kDigits);
}

/// A file that only this user can read.
tl::expected<void, Failure> write_secret(const std::string& path, const std::string& text) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.valid() && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
    return launch_failure("the pipe's credentials cannot be written to " + path + ": " +
                          std::generic_category().message(errno));
}

}  // namespace

tl::expected<std::unique_ptr<GuardedFolder>, Failure> GuardedFolder::start(std::string path) {
    std::unique_ptr<GuardedFolder> folder;
    try {
        folder.reset(new GuardedFolder(std::move(path)));
    } catch (const std::system_error& error) {
        return launch_failure(std::string("no event loop can be made: ") + error.what() +
                              "; raise the limit of open files (ulimit -n)");
    }
    auto guardian =
        GuardianClient::start(folder->loop_, random_run_id(), folder->path_, GuardianClient::Place::our_session, {});
    if (!guardian) return tl::unexpected(std::move(guardian.error()));
    folder->guardian_ = std::move(*guardian);
    return folder;
}

/// Its guardian is told, removes the folder, and is waited for.
GuardedFolder::~GuardedFolder() { guardian_.reset(); }

tl::expected<std::unique_ptr<AgentPipe>, Failure> AgentPipe::make(const ExchangePipeOptions& options,
                                                                  bool other_hosts) {
    if (other_hosts && options.form == ExchangePipeOptions::Form::files && options.directory.empty()) {
        return launch_failure(
            "the pipe is one of files in a folder of this host, but the launcher may start the program on another one; "
            "name a directory that both see, or choose a pipe over ZeroMQ");
    }
    auto path = choose_folder(options);
    if (!path) return tl::unexpected(std::move(path.error()));
    auto folder = GuardedFolder::start(std::move(*path));
    if (!folder) return tl::unexpected(std::move(folder.error()));
    std::unique_ptr<AgentPipe> made(new AgentPipe(std::move(*folder), other_hosts));
    // Not the pipe's own, which goes when that is closed: the program has its socket here, until it has ended.
    auto directory = RunDirectory::make(made->folder_->path());
    if (!directory) return tl::unexpected(std::move(directory.error()));
    made->made_.emplace(std::move(*directory));
    const auto place = made->folder_->path() + "/pipe";
    if (options.form == ExchangePipeOptions::Form::zeromq) {
        ZeromqPipe::Options zeromq;
        zeromq.run_directory = place;
        zeromq.tcp = other_hosts;
        if (other_hosts) zeromq.advertise_address = options.advertise_address;
        made->pipe_ = std::make_shared<ZeromqPipe>(std::move(zeromq));
        return made;
    }
    FilePipe::Options files;
    files.root = place;
    made->pipe_ = std::make_shared<FilePipe>(std::move(files));
    return made;
}

tl::expected<exchange::AgentAddress, Failure> AgentPipe::address() {
    using Form = exchange::AgentAddress::Form;
    const auto* zeromq = dynamic_cast<const ZeromqPipe*>(pipe_.get());
    if (zeromq == nullptr) return exchange::AgentAddress(Form::files, folder_->path() + "/pipe");
    auto credentials = zeromq->credentials();
    // Nobody knows whether the program's host shares a file system with this one.
    if (other_hosts_) return exchange::AgentAddress(Form::credentials, std::move(credentials));
    const auto path = folder_->path() + "/credentials";
    auto written = write_secret(path, credentials);
    wipe(credentials);
    wipe_scratch();
    if (!written) return tl::unexpected(std::move(written.error()));
    return exchange::AgentAddress(Form::credentials_file, path);
}

}  // namespace rankexec
