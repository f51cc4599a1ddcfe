// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/site/part_record.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <system_error>

#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/core/toml/toml.hpp"

namespace rankexec::job {
namespace {

constexpr const char* kFile = "state.toml";

std::string reason(const std::filesystem::path& file) {
    return file.string() + ": " + std::generic_category().message(errno);
}

}  // namespace

std::string_view PartRecord::stage_name() const noexcept {
    switch (stage) {
        case Stage::deployed: return "deployed";
        case Stage::running: return "running";
        case Stage::ended: return "ended";
    }
    return "";
}

tl::expected<void, std::string> PartRecord::save(const std::filesystem::path& folder) const {
    toml::array ids;
    for (const auto& gpu : gpus) ids.push_back(gpu);
    toml::table table;
    table.insert("job", job);
    table.insert("digest", digest);
    table.insert("stage", std::string(stage_name()));
    table.insert("run", run);
    table.insert("kind", kind);
    table.insert("detail", detail);
    table.insert("gpus", ids);
    table.insert("need_gpus", static_cast<std::int64_t>(need.gpus));
    table.insert("need_gpu_memory_mib", need.gpu_memory_mib);
    table.insert("need_cores", static_cast<std::int64_t>(need.cores));
    table.insert("need_memory_mib", need.memory_mib);
    std::ostringstream out;
    out << table << "\n";
    const auto text = out.str();
    const auto file = folder / kFile;
    const auto fresh = folder / (std::string(".") + kFile);
    {
        const UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!fd.valid()) return tl::unexpected(reason(fresh));
        if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
            ::fdatasync(fd.get()) != 0) {
            return tl::unexpected(reason(fresh));
        }
    }
    if (::rename(fresh.c_str(), file.c_str()) != 0) return tl::unexpected(reason(file));
    return {};
}

tl::expected<PartRecord, std::string> PartRecord::load(const std::filesystem::path& folder) {
    try {
        const toml::table table = toml::parse_file((folder / kFile).string());
        const auto text = [&](const char* key) { return table[key].value_or(std::string()); };
        const auto number = [&](const char* key) { return table[key].value_or(std::int64_t{0}); };
        PartRecord record;
        record.job = text("job");
        record.digest = text("digest");
        const auto stage = text("stage");
        if (stage == "running") record.stage = Stage::running;
        if (stage == "ended") record.stage = Stage::ended;
        record.run = text("run");
        record.kind = text("kind");
        record.detail = text("detail");
        if (const auto* ids = table["gpus"].as_array(); ids != nullptr) {
            for (const auto& id : *ids) record.gpus.push_back(id.value_or(std::string()));
        }
        record.need = {static_cast<int>(number("need_gpus")), number("need_gpu_memory_mib"),
                       static_cast<int>(number("need_cores")), number("need_memory_mib")};
        if (record.job != folder.filename()) return tl::unexpected(folder.string() + " is that of another job");
        return record;
    } catch (const toml::parse_error& error) {
        return tl::unexpected((folder / kFile).string() + ": " + std::string(error.description()));
    }
}

}  // namespace rankexec::job
