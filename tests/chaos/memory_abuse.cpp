// SPDX-License-Identifier: Apache-2.0
#include "memory_abuse.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "rankexec/ipc/shared_memory/futex.hpp"
#include "rankexec/ipc/transport/memory_layout.hpp"
#include "rankexec/ipc/transport/memory_link.hpp"
#include "stamp.hpp"

namespace chaos {
namespace {

using namespace rankexec;

struct Mapping {
    std::byte* begin = nullptr;
    std::size_t size = 0;
    bool writable = false;
    std::string range;  ///< as in /proc/self/maps
};

std::vector<Mapping> shared_mappings() {
    std::vector<Mapping> found;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("memfd:rankexec") == std::string::npos) continue;
        Mapping mapping;
        std::string rights;
        std::istringstream(line) >> mapping.range >> rights;
        const auto dash = mapping.range.find('-');
        const auto begin = std::stoull(mapping.range.substr(0, dash), nullptr, 16);
        mapping.begin = reinterpret_cast<std::byte*>(begin);
        mapping.size = std::stoull(mapping.range.substr(dash + 1), nullptr, 16) - begin;
        mapping.writable = rights.find('w') != std::string::npos;
        found.push_back(std::move(mapping));
    }
    return found;
}

/// The rank's other threads use what is written here; that is the point.
[[gnu::no_sanitize_thread]] void overwrite(const Mapping& mapping, std::mt19937_64& dice) {
    // Sparse enough that the parent meets all stages of it.
    for (int spot = 0; spot < 200; ++spot) {
        const auto size = std::min<std::size_t>(mapping.size, spot % 2 == 0 ? 4096 : mapping.size);
        auto* const place = reinterpret_cast<volatile std::uint64_t*>(mapping.begin + dice() % (size / 8) * 8);
        *place = dice();
    }
}

/// The one of this rank's rings, which was mapped for writing first.
Mapping own_segment() {
    for (auto& mapping : shared_mappings()) {
        if (mapping.writable) return mapping;
    }
    return {};
}

ParentMemory::Sizes sizes() {
    const char* const world_size = std::getenv("WORLD_SIZE");
    return ParentMemory::sizes_for(world_size != nullptr ? std::atoi(world_size) : 1);
}

[[gnu::no_sanitize_thread]] void forget(ReaderState& position) { position.read.store(0, std::memory_order_relaxed); }

}  // namespace

void scribble(std::uint64_t seed) {
    std::thread([seed] {
        std::mt19937_64 dice(seed);
        for (;;) {
            for (const auto& mapping : shared_mappings()) {
                if (mapping.writable) overwrite(mapping, dice);
            }
            std::this_thread::yield();
        }
    }).detach();
}

std::string break_seals() {
    std::string managed;
    for (const auto& mapping : shared_mappings()) {
        if (!mapping.writable && ::mprotect(mapping.begin, mapping.size, PROT_READ | PROT_WRITE) == 0) {
            managed += "write access to the parent's memory; ";
        }
        // Only for the privileged; others have no descriptor any more.
        const int file = ::open(("/proc/self/map_files/" + mapping.range).c_str(), O_RDWR | O_CLOEXEC);
        if (file < 0) continue;
        if (::ftruncate(file, 0) == 0) managed += "made shorter; ";
        if (::ftruncate(file, 1L << 30L) == 0) managed += "made longer; ";
        if (::fcntl(file, F_ADD_SEALS, F_SEAL_WRITE) == 0) managed += "sealed; ";
        if (!mapping.writable) {
            if (::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0) managed += "pages taken; ";
            void* const again = ::mmap(nullptr, mapping.size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (again != MAP_FAILED) managed += "write access by another mapping; ";
            if (::pwrite(file, "x", 1, 0) == 1) managed += "written through the descriptor; ";
        }
        ::close(file);
    }
    return managed;
}

void stop_reading() {
    const auto own = own_segment();
    if (own.begin == nullptr) return;
    // Before the rings: the positions of this rank as a reader. It is the parent that sleeps on what follows `read`.
    auto* const task = &reinterpret_cast<PeerView*>(own.begin)->position;
    auto* const events = reinterpret_cast<ReaderState*>(own.begin + sizeof(PeerView));
    std::thread([=] {
        for (;;) {
            for (auto* position : {task, events, events + 1}) forget(*position);
            std::this_thread::yield();
        }
    }).detach();
}

void die_while_writing(int step, bool event) {
    const auto own = own_segment();
    if (own.begin != nullptr) {
        const auto results = ring_size(sizes().answer_bytes);
        auto* const writer = reinterpret_cast<WriterState*>(own.begin + RankLayout::kRings + (event ? results : 0));
        auto* const data = reinterpret_cast<std::byte*>(writer + 1);
        // Positions are multiples of 8 and the ring is longer than this.
        const auto at = writer->written.load();
        const std::array<std::uint64_t, 5> message{32, 1, 8, 0, 0};
        std::size_t words = 0;
        if (step >= 1) words = 1;
        if (step >= 2) words = 3;
        if (step >= 3) words = message.size();
        std::memcpy(data + at % 4096, message.data(), words * sizeof(std::uint64_t));
        if (step >= 4) writer->written.store(at + sizeof message);
        if (step >= 5) wake_all(writer->bell);
    }
    leave_stamp();
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
}

}  // namespace chaos
