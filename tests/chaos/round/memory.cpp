// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>

namespace chaos {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20U;
constexpr std::size_t kOverlap = 256;

std::string hexadecimal(std::string_view bytes, const char* digits) {
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += digits[byte >> 4U];
        text += digits[byte & 15U];
    }
    return text;
}

/// Those digits that depend on these bytes alone, when `before` (0 to 2) other bytes of a group of three precede.
std::string base64(std::string_view bytes, std::size_t before, std::string_view last_digits) {
    std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789" + std::string(last_digits);
    std::string padded = std::string(before, '\0') + std::string(bytes);
    std::string text;
    for (std::size_t bit = 0; bit + 6 <= padded.size() * 8; bit += 6) {
        if (bit < before * 8) continue;
        unsigned value = 0;
        for (std::size_t index = bit; index < bit + 6; ++index) {
            value = value << 1U | (static_cast<unsigned char>(padded[index / 8]) >> (7 - index % 8) & 1U);
        }
        text += digits[value];
    }
    return text;
}

}  // namespace

std::vector<Mapping> mappings_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps");
    std::vector<Mapping> found;
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string first;
        words >> first;
        if (first == "VmFlags:" && !found.empty()) {
            std::string flag;
            while (words >> flag) {
                if (flag == "dd") found.back().dumped = false;
            }
        }
        if (first.ends_with(':')) continue;
        Mapping mapping;
        std::string permissions;
        std::string skipped;
        words >> permissions >> skipped >> skipped >> skipped >> mapping.name;
        mapping.begin = std::stoull(first, nullptr, 16);
        mapping.end = std::stoull(first.substr(first.find('-') + 1), nullptr, 16);
        mapping.readable = permissions.starts_with("r");
        // A file's pages that nobody could write are what the file holds.
        mapping.dumped = permissions.find('w') != std::string::npos || mapping.name.empty();
        found.push_back(std::move(mapping));
    }
    return found;
}

void read_memory(pid_t pid, const std::function<bool(const Mapping&)>& wanted,
                 const std::function<void(const Mapping&, std::string_view piece)>& look) {
    const int memory = ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
    std::string piece(kPiece + kOverlap, '\0');
    for (const auto& mapping : mappings_of(pid)) {
        if (!mapping.readable || !wanted(mapping)) continue;
        for (auto at = mapping.begin; at < mapping.end; at += kPiece) {
            const auto size = std::min<std::uintptr_t>(piece.size(), mapping.end - at);
            const auto got = ::pread(memory, piece.data(), size, static_cast<off_t>(at));
            if (got > 0) look(mapping, std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
        }
    }
    ::close(memory);
}

std::string whole_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void Needles::add(const std::string& name, std::string_view secret) {
    const auto keep = [&](const char* form, std::string bytes) {
        longest_ = std::max(longest_, bytes.size());
        needles_.push_back({name + " (" + form + ")", std::move(bytes)});
    };
    keep("raw", std::string(secret));
    keep("hexadecimal", hexadecimal(secret, "0123456789abcdef"));
    keep("hexadecimal", hexadecimal(secret, "0123456789ABCDEF"));
    for (std::size_t before = 0; before < 3; ++before) {
        keep("base64", base64(secret, before, "-_"));
        keep("base64", base64(secret, before, "+/"));
    }
}

std::vector<std::string> Needles::in(std::string_view text) const {
    std::vector<std::string> found;
    for (const auto& needle : needles_) {
        if (::memmem(text.data(), text.size(), needle.bytes.data(), needle.bytes.size()) == nullptr) continue;
        if (std::ranges::find(found, needle.name) == found.end()) found.push_back(needle.name);
    }
    return found;
}

}  // namespace chaos
