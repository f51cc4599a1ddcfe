// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/bundle/bundle_reader.hpp"

namespace rankexec::job {
namespace {

constexpr std::int64_t kMostDefinitionBytes = std::int64_t{1} << 20U;

/// Keeps the text of job.toml.
class DefinitionSink final : public EntrySink {
public:
    Outcome begin(const BundleEntry& entry) override {
        taking_ = entry.kind == EntryKind::file && entry.path == kDefinitionFile;
        if (!taking_) return {};
        if (entry.size > kMostDefinitionBytes) return refused("the job.toml in the bundle is larger than 1 MiB");
        text.assign(static_cast<std::size_t>(entry.size), '\0');
        return {};
    }
    Outcome data(std::span<const std::byte> part, std::int64_t offset) override {
        if (taking_ && !part.empty()) std::memcpy(text.data() + offset, part.data(), part.size());
        return {};
    }
    Outcome end() override { return {}; }

    std::string text;

private:
    bool taking_ = false;
};

}  // namespace

tl::expected<JobDefinition, Failure> inspect_bundle(const std::filesystem::path& archive, const BundleLimits& limits) {
    EntryTree tree(limits.max_entries);
    DefinitionSink sink;
    if (auto done = read_bundle(archive, limits, tree, sink); !done) return tl::unexpected(std::move(done.error()));
    if (!tree.has_file(kDefinitionFile)) {
        return refused(archive.string() + " has no job.toml in its top folder; it says what the job is made of");
    }
    try {
        auto job = parse_definition(sink.text, kDefinitionFile);
        for (const auto& part : job.parts) {
            const auto file = part.folder + "/" + kPartFile;
            if (!tree.has_file(file)) return refused("the bundle has no " + file + ", which job.toml wants");
        }
        return job;
    } catch (const ConfigurationError& error) {
        return refused(error.what());
    }
}

}  // namespace rankexec::job
