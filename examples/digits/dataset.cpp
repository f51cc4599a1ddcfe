// SPDX-License-Identifier: Apache-2.0
#include "dataset.hpp"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace digits {
namespace {

constexpr unsigned kInkLimit = 16;
constexpr std::size_t kHeldOutPeriod = 5;

/// Takes one number and the separator behind it off the front; false unless it is 0 .. `limit`.
bool take_number(std::string_view& text, unsigned limit, unsigned& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number > limit) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (!text.empty()) {
        if (text.front() != ',' || text.size() == 1) return false;
        text.remove_prefix(1);
    }
    return true;
}

bool parse_line(std::string_view line, Image& image) {
    unsigned number = 0;
    for (auto& pixel : image.pixels) {
        if (!take_number(line, kInkLimit, number) || line.empty()) return false;
        pixel = static_cast<float>(number) / static_cast<float>(kInkLimit);
    }
    if (!take_number(line, kClasses - 1, number) || !line.empty()) return false;
    image.digit = static_cast<std::uint8_t>(number);
    return true;
}

}  // namespace

std::string find_data(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (fs::path(path).is_absolute() || fs::exists(path, error)) return path;
    const auto beside = fs::read_symlink("/proc/self/exe", error).parent_path() / path;
    return !error && fs::exists(beside, error) ? beside.string() : path;
}

Images read_images(const std::string& path) {
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error("cannot open the data file " + path + ": " + std::generic_category().message(errno));
    Images images;
    std::string line;
    while (std::getline(file, line)) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        Image image;
        if (!parse_line(line, image)) {
            throw std::runtime_error(path + ":" + std::to_string(images.size() + 1) +
                                     ": expected 64 integers from 0 to 16 and a digit, separated by commas");
        }
        images.push_back(image);
    }
    if (images.empty()) throw std::runtime_error("the data file " + path + " has no images");
    return images;
}

Dataset split(const Images& images) {
    Dataset dataset;
    std::array<std::size_t, kClasses> seen{};
    for (const auto& image : images) {
        const bool held_out = ++seen.at(image.digit) % kHeldOutPeriod == 0;
        (held_out ? dataset.held_out : dataset.training).push_back(image);
    }
    return dataset;
}

Dataset take_share(const Dataset& dataset, const Share& share) {
    Dataset mine;
    std::array<std::size_t, kClasses> seen{};
    std::array<std::size_t, kClasses> dealt{};
    const auto sites = static_cast<std::size_t>(share.count);
    for (const auto& image : dataset.training) {
        const auto nth = static_cast<double>(seen.at(image.digit)++);
        const bool at_home = std::floor((nth + 1) * share.skew) > std::floor(nth * share.skew);
        const std::size_t site = at_home ? image.digit * sites / kClasses : dealt.at(image.digit)++ % sites;
        if (site == static_cast<std::size_t>(share.number)) mine.training.push_back(image);
    }
    mine.held_out = shard(dataset.held_out, share.number, share.count);
    return mine;
}

Images shard(const Images& images, int rank, int world_size) {
    Images mine;
    for (auto i = static_cast<std::size_t>(rank); i < images.size(); i += static_cast<std::size_t>(world_size)) {
        mine.push_back(images[i]);
    }
    return mine;
}

}  // namespace digits
