// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/model/resources.hpp"

#include <algorithm>

#include "rankexec/core/job/model/value_reader.hpp"

namespace rankexec::job {
namespace {

/// What of a site is counted, and how messages call that.
struct Offer {
    std::int64_t gpus = 0;  ///< that have the memory that is needed
    std::int64_t cores = 0;
    std::int64_t memory_mib = 0;
    const char* word = "";
};

void add(std::string& text, const std::string& what, std::int64_t there, const char* word) {
    text += (text.empty() ? "needs " : "; needs ") + what + ", " + std::to_string(there) + " " + word;
}

std::string missing(const ResourceNeed& need, const Offer& offer) {
    std::string text;
    if (need.gpus > offer.gpus) {
        auto what = std::to_string(need.gpus) + (need.gpus == 1 ? " GPU" : " GPUs");
        if (need.gpu_memory_mib > 0) what += " with " + std::to_string(need.gpu_memory_mib) + " MiB";
        add(text, what, offer.gpus, offer.word);
    }
    if (need.cores > offer.cores) {
        add(text, std::to_string(need.cores) + (need.cores == 1 ? " core" : " cores"), offer.cores, offer.word);
    }
    if (need.memory_mib > offer.memory_mib) {
        add(text, std::to_string(need.memory_mib) + " MiB of memory", offer.memory_mib, offer.word);
    }
    return text;
}

}  // namespace

std::string shortfall(const ResourceNeed& need, const ResourceState& state) {
    const auto gpus = std::count_if(state.gpus.begin(), state.gpus.end(), [&](const GpuState& gpu) {
        return gpu.free && gpu.memory_mib >= need.gpu_memory_mib;
    });
    return missing(need, {gpus, state.free_cores, state.free_memory_mib, "free"});
}

std::string shortfall_of_total(const ResourceNeed& need, const ResourceState& state) {
    const auto gpus = std::count_if(state.gpus.begin(), state.gpus.end(),
                                    [&](const GpuState& gpu) { return gpu.memory_mib >= need.gpu_memory_mib; });
    return missing(need, {gpus, state.cores, state.memory_mib, "there at all"});
}

Value to_value(const ResourceNeed& need) {
    Value value;
    value["gpus"] = need.gpus;
    value["gpu_memory_mib"] = need.gpu_memory_mib;
    value["cores"] = need.cores;
    value["memory_mib"] = need.memory_mib;
    return value;
}

Value to_value(const ResourceState& state) {
    Value::Array gpus;
    for (const auto& gpu : state.gpus) {
        Value entry;
        entry["id"] = gpu.id;
        entry["memory_mib"] = gpu.memory_mib;
        entry["free"] = gpu.free;
        gpus.push_back(std::move(entry));
    }
    Value value;
    value["gpus"] = std::move(gpus);
    value["cores"] = state.cores;
    value["free_cores"] = state.free_cores;
    value["memory_mib"] = state.memory_mib;
    value["free_memory_mib"] = state.free_memory_mib;
    return value;
}

ResourceNeed resource_need_from(const Value& value) {
    const ValueReader reader(value, "resource need");
    return {reader.integer<int>("gpus"), reader.integer("gpu_memory_mib"), reader.integer<int>("cores"),
            reader.integer("memory_mib")};
}

ResourceState resource_state_from(const Value& value) {
    const ValueReader reader(value, "resource state");
    ResourceState state;
    for (const auto& entry : reader.array("gpus")) {
        const ValueReader gpu(entry, "GPU of a resource state");
        state.gpus.push_back({gpu.text("id"), gpu.integer("memory_mib"), gpu.boolean("free")});
    }
    state.cores = reader.integer<int>("cores");
    state.free_cores = reader.integer<int>("free_cores", 0, state.cores);
    state.memory_mib = reader.integer("memory_mib");
    state.free_memory_mib = reader.integer("free_memory_mib", 0, state.memory_mib);
    return state;
}

}  // namespace rankexec::job
