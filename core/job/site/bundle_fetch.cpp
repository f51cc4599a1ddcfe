// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/site/bundle_fetch.hpp"

#include <fstream>
#include <system_error>
#include <utility>

#include "rankexec/core/job/bundle/bundle.hpp"
#include "rankexec/core/job/model/topics.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;
using Done = tl::expected<void, std::string>;

constexpr std::chrono::milliseconds kAnswer{60'000};

Done failed(std::string why) { return tl::unexpected(std::move(why)); }

Done fetch(hub::HubEnd& hub, const BundleOrder& order, const fs::path& archive) {
    std::ofstream file(archive, std::ios::binary);
    std::int64_t have = 0;
    while (have < order.bytes) {
        Shareable wanted;
        wanted.headers = {{"job", order.job}, {"offset", have}};
        auto reply = hub.ask(hub::kHubName, topic::kBundleChunk, std::move(wanted), kAnswer);
        if (!reply) return failed("the bundle cannot be fetched: " + reply.error().message);
        if (!reply->ok()) return failed("the bundle cannot be fetched: " + reply->failure.value_or(Failure{}).message);
        const auto* piece = reply->body.if_bytes();
        if (piece == nullptr || piece->empty() || std::cmp_greater(piece->size(), order.bytes - have)) {
            return failed("the controller does not send the bundle as it has announced it");
        }
        file.write(reinterpret_cast<const char*>(piece->data()), static_cast<std::streamsize>(piece->size()));
        if (!file) break;
        have += static_cast<std::int64_t>(piece->size());
    }
    file.close();
    if (!file) return failed(archive.string() + " cannot be written; is the disk full?");
    return {};
}

}  // namespace

Done fetch_bundle(hub::HubEnd& hub, const BundleOrder& order, const fs::path& folder) {
    if (order.bytes <= 0 || order.bytes > order.most_bytes) {
        return failed("the bundle has " + std::to_string(order.bytes) + " bytes; this site takes " +
                      std::to_string(order.most_bytes) + " at most");
    }
    std::error_code error;
    fs::remove_all(folder, error);
    fs::create_directories(folder, error);
    if (error) return failed(folder.string() + ": " + error.message());
    const auto archive = folder / "bundle.tar.gz";
    if (auto fetched = fetch(hub, order, archive); !fetched) return fetched;
    const auto digest = bundle_digest(archive);
    if (!digest) return failed(digest.error().message);
    if (*digest != order.digest)
        return failed("the bundle has arrived with another digest than the controller has signed");
    BundleLimits limits;
    limits.max_bytes = order.most_bytes;
    if (const auto unpacked = unpack_bundle(archive, folder / "work", limits); !unpacked) {
        return failed(unpacked.error().message);
    }
    fs::remove(archive, error);
    return {};
}

}  // namespace rankexec::job
