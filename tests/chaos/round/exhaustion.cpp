// SPDX-License-Identifier: Apache-2.0
// A limit is reached somewhere on the way: the host gets a typed error and lives on.
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "round.hpp"
#include "surroundings.hpp"

namespace chaos {
namespace {

constexpr int kAttempts = 5;

/// Lowers one limit of this process, and of those that it starts, for as long as it lives.
class LowLimit {
public:
    LowLimit(__rlimit_resource resource, rlim_t limit) : resource_(resource) {
        ::getrlimit(resource_, &before_);
        const rlimit low{std::min(limit, before_.rlim_max), before_.rlim_max};
        ::setrlimit(resource_, &low);
    }
    ~LowLimit() { ::setrlimit(resource_, &before_); }
    LowLimit(const LowLimit&) = delete;
    LowLimit& operator=(const LowLimit&) = delete;

private:
    __rlimit_resource resource_;
    rlimit before_{};
};

/// A file system for temporary files that takes so many more files.
class FullDisk {
public:
    explicit FullDisk(int files) {
        const auto options = "size=16k,nr_inodes=" + std::to_string(files + 1);
        mounted_ = ::mount("tmpfs", "/tmp", "tmpfs", 0, options.c_str()) == 0;
    }
    ~FullDisk() {
        // Until the last process that looks into it has gone.
        eventually(milliseconds(5000), [] { return ::umount("/tmp") == 0; });
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;
    [[nodiscard]] bool mounted() const { return mounted_; }

private:
    bool mounted_ = false;
};

rlim_t address_space() {
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

rlim_t descriptors() {
    rlim_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        (void)entry;
        ++count;
    }
    return count;
}

/// Starts, uses and ends a group. Empty: it worked; otherwise the typed error.
std::string use_a_group(const RoundOptions& round) {
    rankexec::MultiProcessExecutor executor(group_options(round));
    rankexec::Context context;
    if (const auto ready = executor.initialise(context); !ready) return ready.error().describe();
    const auto reply = executor.execute("nothing", {}, context, {});
    executor.finalise();
    if (reply.code == rankexec::ReturnCode::ok) return {};
    return reply.failure ? reply.failure->describe() : "not ok";
}

std::string attempt(const RoundOptions& round, Dice& dice) {
    if (round.variant == "descriptors") {
        const LowLimit limit(RLIMIT_NOFILE, descriptors() + static_cast<rlim_t>(dice.roll(120)));
        return use_a_group(round);
    }
    if (round.variant == "memory") {
        const LowLimit limit(RLIMIT_AS, address_space() + (static_cast<rlim_t>(dice.roll(700)) << 20U));
        return use_a_group(round);
    }
    if (round.variant == "processes") {
        const LowLimit limit(RLIMIT_NPROC, static_cast<rlim_t>(dice.roll(40)));
        return use_a_group(round);
    }
    const FullDisk disk(dice.roll(9));
    if (!disk.mounted()) throw std::runtime_error("cannot mount a small file system");
    return use_a_group(round);
}

}  // namespace

Outcome exhaustion(const RoundOptions& round) {
    Dice dice(round.seed);
    // The limit of processes does not hold for root.
    if (round.variant == "processes" && ::geteuid() == 0 && (::setgid(54322) != 0 || ::setuid(54322) != 0)) {
        return Outcome::failed("cannot become an ordinary user");
    }
    Outcome outcome;
    const Surroundings before;
    for (int number = 0; number < kAttempts; ++number) {
        std::string error;
        try {
            error = attempt(round, dice);
        } catch (const std::exception& exception) {
            return Outcome::failed(std::string("an exception reached the host: ") + exception.what());
        }
        outcome.figures["refused_count"] += error.empty() ? 0 : 1;
    }
    const auto error = use_a_group(round);
    if (!error.empty()) outcome.wrong = "with all its resources back: " + error;
    if (outcome.wrong.empty() && before.wait_until_clean(milliseconds(2000)) < 0) {
        outcome.wrong = "left: " + joined(before.new_since());
    }
    return outcome;
}

}  // namespace chaos
