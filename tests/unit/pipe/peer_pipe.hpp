// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <fstream>
#include <memory>
#include <string>

#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"

namespace rankexec::test {

inline constexpr std::chrono::milliseconds kPeerPatience{60'000};

/// The pipe that those arguments of pipe_peer mean; none when they mean nothing.
inline std::unique_ptr<Pipe> make_peer_pipe(const std::string& form, const std::string& end, const std::string& address,
                                            OnPipeStep on_step) {
    const auto mode = end == "active" ? PipeMode::active : PipeMode::passive;
    if (form.starts_with("file")) {
        FilePipe::Options options;
        options.root = address;
        options.mode = mode;
        options.events = form == "file";
        options.on_step = std::move(on_step);
        return std::make_unique<FilePipe>(std::move(options));
    }
    if (mode == PipeMode::passive) return nullptr;
    ZeromqPipe::Options options;
    options.mode = mode;
    std::ifstream(address) >> options.credentials;
    options.on_step = std::move(on_step);
    return std::make_unique<ZeromqPipe>(std::move(options));
}

}  // namespace rankexec::test
