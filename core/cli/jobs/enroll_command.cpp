// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "rankexec/core/cli/commands.hpp"
#include "rankexec/core/cli/exit_code.hpp"
#include "rankexec/core/cli/jobs/job_commands.hpp"
#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/job/controller/controller_service.hpp"
#include "rankexec/core/job/controller/peer_directory.hpp"
#include "rankexec/core/system/private_folder.hpp"
#include "rankexec/ipc/hub/hub.hpp"

namespace rankexec::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUsualController = "tcp://127.0.0.1:7770";
constexpr const char* kUsualPermissions = "submit";

ConfigurationError wrong(const std::string& what) { return ConfigurationError(ConfigurationError::Kind::option, what); }

fs::path home_of(const EnrollCommand& command) {
    if (!command.home.empty()) return fs::absolute(command.home);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody changes the environment
    const char* const home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') throw wrong("HOME is not set: give --home, the controller's folder");
    return fs::path(home) / ".rankexec" / "controller";
}

/// As `rankexec serve` makes it too, whichever comes first.
job::Identity controller_identity(const fs::path& home) {
    if (auto made = make_private_folder(home, job::kIdentityFile); !made) throw wrong("--home: " + made.error());
    const auto file = home / job::kIdentityFile;
    if (!fs::exists(file)) job::Identity::create(job::Role::controller, hub::kHubName).save(file);
    return job::Identity::load(file);
}

job::PublicIdentity given(const EnrollCommand& command, job::Role role) {
    auto identity = job::PublicIdentity::parse(command.public_key);
    if (identity.role != role) throw wrong("--public: is the identity of " + identity.peer());
    if (!command.name.empty() && command.name != identity.name) {
        throw wrong("--public: is the identity of " + identity.peer() + ", not of " + command.name);
    }
    return identity;
}

}  // namespace

CommandResult enroll(const EnrollCommand& command) {
    const auto role = command.site ? job::Role::site : job::Role::user;
    const auto home = home_of(command);
    const auto controller = controller_identity(home);
    const job::PeerDirectory peers(home / job::kPeersFolder);
    job::EnrolledPeer peer;
    if (!command.site) {
        auto may = job::permissions_from(command.may.empty()     ? kUsualPermissions
                                         : command.may == "none" ? ""
                                                                 : command.may);
        if (!may) throw wrong("--may: " + may.error());
        peer.may = std::move(*may);
    }
    std::string text;
    if (command.public_key.empty()) {
        auto identity = job::Identity::create(role, command.name);
        identity.controller_address = command.controller.empty() ? kUsualController : command.controller;
        identity.controller = controller.public_part();
        const fs::path file = command.out.empty() ? command.name + (command.site ? ".site" : ".user") : command.out;
        peer.identity = identity.public_part();
        // First the file: a peer that is known and has no identity could not be enrolled again.
        identity.save(file);
        if (const auto added = peers.add(peer, command.replace); !added) {
            std::error_code ignored;
            fs::remove(file, ignored);
            complain(added.error());
            return {kExitFailure, {}};
        }
        text = peer.peer() + " is enrolled; its identity is " + fs::absolute(file).lexically_normal().string() +
               ": move it to where it is used, and keep no copy\n" +
               (command.site ? "  rankexec site --identity " : "  rankexec job list --identity ") + file.string() +
               "\n";
    } else {
        peer.identity = given(command, role);
        if (const auto added = peers.add(peer, command.replace); !added) {
            complain(added.error());
            return {kExitFailure, {}};
        }
        text = peer.peer() + " is enrolled; its identity trusts this controller as\n  " +
               controller.public_part().to_text() + "\n";
    }
    return {print_text(text), {}};
}

}  // namespace rankexec::cli
