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

/// Where that file is: a relative path that leads nowhere from here may lead somewhere from this program's own folder,
/// as at a site whose data are installed with the program.
std::string find_data(const std::string& path);

/// Reads all images, in file order. Throws std::runtime_error, with file and line, for a file that
/// cannot be read or is not what DATA.md describes.
Images read_images(const std::string& path);

/// Holds out every fifth image of each digit; DATA.md says why so.
Dataset split(const Images& images);

/// One of several sites' part of the training data, when each has its own.
struct Share {
    int number = 0;   ///< from 0
    int count = 1;    ///< of sites
    double skew = 0;  ///< 0: every site has as many of each digit; 1: each digit is at one site only
};

/// What a site has: of the training set as `share` says, of the held-out set every count-th image, whatever the skew.
/// Digit d is at home at site d * count / 10; `skew` of its images are there, the others are dealt to all sites in
/// turn.
Dataset take_share(const Dataset& dataset, const Share& share);

/// The images that belong to one rank: number i goes to rank i mod world_size.
Images shard(const Images& images, int rank, int world_size);

}  // namespace digits
