// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "rankexec/core/system/unique_fd.hpp"
#include "unit/exchange/child.hpp"

/// For tests that run within with_two_hosts, on the first of them.
namespace rankexec::test {

inline std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    EXPECT_NE(value, nullptr) << name << ": run this within with_two_hosts";
    return value != nullptr ? value : "";
}

/// The device that leads to the other host.
inline void set_network(bool up) {
    const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "link0");
    ASSERT_EQ(::ioctl(socket.get(), SIOCGIFFLAGS, &request), 0);
    const int flags = request.ifr_flags;
    request.ifr_flags = static_cast<short>(up ? flags | IFF_UP : flags & ~IFF_UP);
    ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
}

/// No network as long as this is there.
class Cut {
public:
    Cut() { set_network(false); }
    ~Cut() { set_network(true); }
    Cut(const Cut&) = delete;
    Cut& operator=(const Cut&) = delete;
};

/// A program on the second host.
inline std::unique_ptr<Child> on_second_host(const std::vector<std::string>& arguments) {
    std::string command = "exec";
    for (const auto& argument : arguments) command += " '" + argument + "'";
    return std::make_unique<Child>(
        std::vector<std::string>{variable("TWO_HOSTS_AGENT"), variable("TWO_HOSTS_SECOND"), command});
}

}  // namespace rankexec::test
