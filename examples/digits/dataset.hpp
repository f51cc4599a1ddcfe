// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace digits {

inline constexpr std::size_t kPixels = 64;
inline constexpr std::size_t kClasses = 10;

struct Image {
    std::array<float, kPixels> pixels{};  ///< 0 .. 1
    std::uint8_t digit = 0;
};

using Images = std::vector<Image>;

struct Dataset {
    Images training;
    Images held_out;
};

/// Reads all images, in file order. Throws std::runtime_error, with file and line, for a file that
/// cannot be read or is not what DATA.md describes.
Images read_images(const std::string& path);

/// Holds out every fifth image of each digit; DATA.md says why so.
Dataset split(const Images& images);

/// The images that belong to one rank: number i goes to rank i mod world_size.
Images shard(const Images& images, int rank, int world_size);

}  // namespace digits
