// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/peer_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <system_error>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/model/job_definition.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/core/toml/toml.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
constexpr std::array kPermissions{Permission::submit, Permission::abort, Permission::remove};

std::string reason() { return std::generic_category().message(errno); }
std::string text_of(const EnrolledPeer& peer) {
    toml::array may;
    for (const auto permission : peer.may) may.push_back(std::string(to_string(permission)));
    toml::table table;
    table.insert("identity", peer.identity.to_text());
    table.insert("may", may);
    std::ostringstream out;
    out << table << "\n";
    return out.str();
}

tl::expected<EnrolledPeer, std::string> read(const fs::path& file) {
    try {
        const toml::table table = toml::parse_file(file.string());
        EnrolledPeer peer;
        peer.identity = PublicIdentity::parse(table["identity"].value_or(std::string()));
        if (peer.identity.role == Role::controller) {
            return tl::unexpected(file.string() + ": a controller cannot be enrolled");
        }
        if (const auto* may = table["may"].as_array(); may != nullptr) {
            for (const auto& word : *may) {
                const auto permissions = permissions_from(word.value_or(std::string()));
                if (!permissions) return tl::unexpected(file.string() + ": " + permissions.error());
                peer.may.insert(permissions->begin(), permissions->end());
            }
        }
        return peer;
    } catch (const toml::parse_error& error) {
        return tl::unexpected(file.string() + ": " + std::string(error.description()));
    } catch (const ConfigurationError& error) {
        return tl::unexpected(file.string() + ": " + error.what());
    }
}

fs::path file_of(const fs::path& folder, Role role, const std::string& name) {
    return folder / (std::string(to_string(role)) + "." + name + ".toml");
}

}  // namespace

std::string_view to_string(Permission permission) noexcept {
    switch (permission) {
        case Permission::submit: return "submit";
        case Permission::abort: return "abort";
        case Permission::remove: return "delete";
    }
    return "";
}

tl::expected<std::set<Permission>, std::string> permissions_from(std::string_view text) {
    std::set<Permission> all;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        const auto word = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        const auto found = std::ranges::find(kPermissions, word, [](Permission one) { return to_string(one); });
        if (found == kPermissions.end()) {
            return tl::unexpected("\"" + std::string(word.substr(0, 64)) +
                                  "\" is no permission; write submit, abort or delete");
        }
        all.insert(*found);
    }
    return all;
}

tl::expected<void, std::string> PeerDirectory::add(const EnrolledPeer& peer, bool replace) const {
    const auto& identity = peer.identity;
    if (const auto error = name_error(identity.name); !error.empty()) return tl::unexpected(error);
    if (identity.role == Role::controller) return tl::unexpected(std::string("a controller cannot be enrolled"));
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) return tl::unexpected(folder_.string() + ": " + error.message());
    const auto file = file_of(folder_, identity.role, identity.name);
    const auto fresh = folder_ / ("." + file.filename().string() + "." + std::to_string(::getpid()));
    const auto text = text_of(peer);
    {
        const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!fd.valid()) return tl::unexpected(fresh.string() + ": " + reason());
        if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
            ::fsync(fd.get()) != 0) {
            const auto why = reason();
            ::unlink(fresh.c_str());
            return tl::unexpected(fresh.string() + ": " + why);
        }
    }
    // A link fails where the name is taken; a rename replaces.
    const bool done = replace ? ::rename(fresh.c_str(), file.c_str()) == 0 : ::link(fresh.c_str(), file.c_str()) == 0;
    const int why = errno;
    ::unlink(fresh.c_str());
    if (done) return {};
    if (why == EEXIST) return tl::unexpected(peer.peer() + " is enrolled already; --replace gives it new keys");
    return tl::unexpected(file.string() + ": " + std::generic_category().message(why));
}

tl::expected<bool, std::string> PeerDirectory::remove(Role role, const std::string& name) const {
    if (const auto error = name_error(name); !error.empty()) return tl::unexpected(error);
    if (::unlink(file_of(folder_, role, name).c_str()) == 0) return true;
    if (errno == ENOENT) return false;
    return tl::unexpected(file_of(folder_, role, name).string() + ": " + reason());
}

std::vector<EnrolledPeer> PeerDirectory::list(std::vector<std::string>* problems) const {
    std::vector<EnrolledPeer> peers;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with('.') || !name.ends_with(".toml")) continue;
        auto peer = read(entry.path());
        if (peer) {
            peers.push_back(std::move(*peer));
        } else if (problems != nullptr) {
            problems->push_back(peer.error());
        }
    }
    std::ranges::sort(peers, {}, [](const EnrolledPeer& peer) { return peer.peer(); });
    return peers;
}

}  // namespace rankexec::job
