// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/resources/site_resources.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/system/log.hpp"
#include "rankexec/core/system/run_command.hpp"

namespace rankexec::job {
namespace {

constexpr std::int64_t kMib = std::int64_t{1} << 20U;

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n";
    const auto first = text.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> pieces;
    while (true) {
        const auto end = text.find(separator);
        pieces.push_back(trimmed(text.substr(0, end)));
        if (end == std::string_view::npos) return pieces;
        text.remove_prefix(end + 1);
    }
}

std::optional<std::int64_t> number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
    return value;
}

/// NVIDIA's, by number or UUID; and what tests call theirs.
bool is_gpu_id(std::string_view id) {
    const auto allowed = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '/';
    };
    return !id.empty() && id.size() <= 100 && std::ranges::all_of(id, allowed);
}

[[noreturn]] void refuse(const std::string& what) {
    throw ConfigurationError(ConfigurationError::Kind::option, "resources of the site: " + what);
}

int usable_cores() {
    // More than a cpu_set_t holds, on the largest machines.
    constexpr int kMostCores = 8192;
    auto* set = CPU_ALLOC(kMostCores);
    if (set == nullptr) return 1;
    const auto bytes = CPU_ALLOC_SIZE(kMostCores);
    const int cores = ::sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 1;
    CPU_FREE(set);
    return std::max(cores, 1);
}

std::int64_t limit_in(const std::filesystem::path& file) {
    std::ifstream in(file);
    std::string text;
    in >> text;
    return number(text).value_or(std::numeric_limits<std::int64_t>::max());
}

/// The least memory.max from this process's control group up to the root.
std::int64_t control_group_limit() {
    std::int64_t limit = limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");  // version 1
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        if (!line.starts_with("0::/")) continue;
        for (std::filesystem::path group = line.substr(3);; group = group.parent_path()) {
            limit = std::min(limit, limit_in("/sys/fs/cgroup" + group.string() + "/memory.max"));
            if (group == "/" || group.empty()) break;
        }
    }
    return limit;
}

std::int64_t usable_memory_mib() {
    const auto machine = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
    return std::min(machine, control_group_limit()) / kMib;
}

struct Listed {
    std::string_view index;
    std::string_view uuid;
    std::int64_t memory_mib;
};

std::vector<Listed> listed_by_nvidia_smi(std::string_view output) {
    std::vector<Listed> gpus;
    for (const auto line : split(output, '\n')) {
        const auto fields = split(line, ',');
        if (fields.size() != 3 || !number(fields[0]) || !is_gpu_id(fields[1])) continue;
        if (const auto memory = number(fields[2])) gpus.push_back({fields[0], fields[1], *memory});
    }
    return gpus;
}

}  // namespace

std::vector<GpuState> parse_gpus(std::string_view text) {
    std::vector<GpuState> gpus;
    text = trimmed(text);
    if (text.empty() || text == "none") return gpus;
    for (const auto entry : split(text, ',')) {
        const auto colon = entry.rfind(':');
        const auto memory = colon == std::string_view::npos ? std::nullopt : number(trimmed(entry.substr(colon + 1)));
        const auto id = trimmed(entry.substr(0, colon));
        if (!memory || !is_gpu_id(id)) {
            refuse("\"" + std::string(entry) + "\" is no GPU; write id:MiB, for example 0:80000,1:80000, or none");
        }
        if (std::ranges::find(gpus, id, &GpuState::id) != gpus.end())
            refuse("GPU " + std::string(id) + " is there twice");
        gpus.push_back({std::string(id), *memory, true});
    }
    return gpus;
}

std::vector<GpuState> gpus_from_nvidia_smi(std::string_view output, const std::optional<std::string>& visible) {
    const auto listed = listed_by_nvidia_smi(output);
    std::vector<GpuState> gpus;
    const auto add = [&](const Listed& gpu) { gpus.push_back({std::string(gpu.uuid), gpu.memory_mib, true}); };
    if (!visible) {
        std::ranges::for_each(listed, add);
        return gpus;
    }
    for (const auto entry : split(*visible, ',')) {
        const auto found = std::ranges::find_if(listed, [&](const Listed& gpu) {
            return gpu.index == entry || (entry.starts_with("GPU-") && gpu.uuid.starts_with(entry));
        });
        // As CUDA has it: what follows an entry that is none is not visible either.
        if (found == listed.end()) break;
        if (std::ranges::find(gpus, found->uuid, &GpuState::id) == gpus.end()) add(*found);
    }
    return gpus;
}

std::vector<GpuState> find_gpus() {
    Command command;
    command.argv = {"nvidia-smi", "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"};
    const auto answer = run_command(command);
    if (!answer) {
        if (answer.error().code != ReturnCode::launch_error) log::warning(answer.error().message);
        return {};
    }
    if (!answer->exit.success()) {
        log::warning("nvidia-smi ended with " + to_string(answer->exit) + "; this site has no GPUs: " +
                     std::string(trimmed(answer->errors.empty() ? answer->output : answer->errors)));
        return {};
    }
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    return gpus_from_nvidia_smi(answer->output,
                                visible == nullptr ? std::nullopt : std::optional<std::string>(visible));
}

ResourceState site_resources(const ResourceOptions& options) {
    if (options.cores && *options.cores < 0) refuse("the number of cores is negative");
    if (options.memory_mib && *options.memory_mib < 0) refuse("the memory is negative");
    ResourceState state;
    state.gpus = options.gpus ? parse_gpus(*options.gpus) : find_gpus();
    state.cores = options.cores ? *options.cores : usable_cores();
    state.memory_mib = options.memory_mib ? *options.memory_mib : usable_memory_mib();
    state.free_cores = state.cores;
    state.free_memory_mib = state.memory_mib;
    return state;
}

}  // namespace rankexec::job
