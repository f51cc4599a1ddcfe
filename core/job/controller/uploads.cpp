// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/controller/uploads.hpp"

#include <fstream>
#include <system_error>
#include <utility>

#include "rankexec/ipc/transport/credentials.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
/// Unfinished ones of one user.
constexpr std::size_t kMostUploads = 16;

}  // namespace

Uploads::Uploads(fs::path folder, std::int64_t most_bytes) : folder_(std::move(folder)), most_bytes_(most_bytes) {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

Uploads::~Uploads() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

tl::expected<std::string, Uploads::Error> Uploads::begin(Upload upload) {
    if (upload.bytes <= 0) return tl::unexpected(Error("the bundle is empty"));
    if (upload.bytes > most_bytes_) {
        return tl::unexpected("the bundle has " + std::to_string(upload.bytes) + " bytes; this controller takes " +
                              std::to_string(most_bytes_) + " at most: leave out what the sites have already");
    }
    const auto key = upload.user + "\n" + upload.token + "\n" + upload.digest;
    if (const auto known = ids_.find(key); known != ids_.end()) return known->second;
    make_room(upload.user);
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) return tl::unexpected(folder_.string() + ": " + error.message());
    const auto id = random_run_id();
    upload.file = folder_ / id;
    upload.have = 0;
    upload.last_used = ++uses_;
    ids_[key] = id;
    uploads_[id] = std::move(upload);
    return id;
}

std::int64_t Uploads::have(const std::string& id) const {
    const auto found = uploads_.find(id);
    return found == uploads_.end() ? 0 : found->second.have;
}

tl::expected<Uploads::Upload*, Uploads::Error> Uploads::find(const std::string& user, const std::string& id) {
    const auto found = uploads_.find(id);
    if (found == uploads_.end() || found->second.user != user) {
        return tl::unexpected(Error("there is no such upload; submit again"));
    }
    return &found->second;
}

tl::expected<std::int64_t, Uploads::Error> Uploads::add(const std::string& user, const std::string& id,
                                                        std::int64_t offset, const Bytes& piece) {
    auto found = find(user, id);
    if (!found) return tl::unexpected(found.error());
    auto& upload = **found;
    upload.last_used = ++uses_;
    if (offset != upload.have) return upload.have;
    const auto size = static_cast<std::int64_t>(piece.size());
    if (size > upload.bytes - upload.have) return tl::unexpected(Error("more bytes came than were announced"));
    std::ofstream file(upload.file, std::ios::binary | std::ios::app);
    file.write(reinterpret_cast<const char*>(piece.data()), size);
    file.flush();
    if (!file) {
        const auto name = upload.file.string();
        forget(id);
        return tl::unexpected("the controller cannot write " + name + "; is its disk full?");
    }
    upload.have += size;
    return upload.have;
}

/// Whoever was killed never comes back to theirs: the one that nothing has come for the longest makes room.
void Uploads::make_room(const std::string& user) {
    std::size_t of_user = 0;
    auto idle = uploads_.end();
    for (auto upload = uploads_.begin(); upload != uploads_.end(); ++upload) {
        if (upload->second.user != user) continue;
        ++of_user;
        if (idle == uploads_.end() || upload->second.last_used < idle->second.last_used) idle = upload;
    }
    if (of_user >= kMostUploads) forget(std::string(idle->first));
}

void Uploads::forget(const std::string& id) {
    const auto found = uploads_.find(id);
    if (found == uploads_.end()) return;
    std::error_code ignored;
    fs::remove(found->second.file, ignored);
    std::erase_if(ids_, [&](const auto& entry) { return entry.second == id; });
    uploads_.erase(found);
}

tl::expected<Uploads::Upload, Uploads::Error> Uploads::take(const std::string& user, const std::string& id) {
    auto found = find(user, id);
    if (!found) return tl::unexpected(found.error());
    if ((*found)->have != (*found)->bytes) {
        return tl::unexpected("only " + std::to_string((*found)->have) + " of " + std::to_string((*found)->bytes) +
                              " bytes have come");
    }
    auto upload = std::move(**found);
    std::erase_if(ids_, [&](const auto& entry) { return entry.second == id; });
    uploads_.erase(id);
    return upload;
}

}  // namespace rankexec::job
