// SPDX-License-Identifier: Apache-2.0
// Stands between a client and the parent's tcp port, passes everything on, and keeps what the client said.
#pragma once

#include <string>
#include <thread>

namespace chaos {

class Recorder {
public:
    explicit Recorder(std::string endpoint);
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    [[nodiscard]] int port() const { return port_; }
    /// Ends it; what the client said on its last connection.
    std::string stop();

private:
    void run();

    std::string endpoint_;
    int listener_ = -1;
    int wake_[2] = {-1, -1};
    int port_ = 0;
    std::string said_;
    std::thread thread_;
};

}  // namespace chaos
