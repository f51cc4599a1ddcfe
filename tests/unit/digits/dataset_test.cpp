// SPDX-License-Identifier: Apache-2.0
#include "dataset.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

#include "mlp.hpp"
#include "random.hpp"

namespace digits {
namespace {

class File {
public:
    explicit File(const std::string& content) {
        const int fd = ::mkstemp(path_.data());
        if (fd < 0) throw std::runtime_error("mkstemp");
        ::close(fd);
        std::ofstream(path_) << content;
    }
    ~File() { ::unlink(path_.c_str()); }
    const std::string& path() const { return path_; }

private:
    std::string path_ = testing::TempDir() + "digits-XXXXXX";
};

std::string row(const std::string& first, const std::string& digit) {
    std::string line = first;
    for (int i = 1; i < 64; ++i) line += ",16";
    return line + "," + digit;
}

TEST(Dataset, HasTheImagesThatItsDescriptionNames) {
    const auto images = read_images(DIGITS_DATA);
    EXPECT_EQ(images.size(), 1797U);
    const auto dataset = split(images);
    EXPECT_EQ(dataset.held_out.size(), 355U);
    EXPECT_EQ(dataset.training.size(), 1442U);
}

TEST(Dataset, ShardsArePairwiseDistinctAndComplete) {
    Images images(10);
    for (std::size_t i = 0; i < images.size(); ++i) images[i].digit = static_cast<std::uint8_t>(i);
    std::vector<int> seen(images.size());
    for (int rank = 0; rank < 4; ++rank) {
        for (const auto& image : shard(images, rank, 4)) {
            EXPECT_EQ(image.digit % 4, rank);
            ++seen[image.digit];
        }
    }
    EXPECT_EQ(seen, std::vector<int>(images.size(), 1));
    EXPECT_TRUE(shard(images, 11, 12).empty());
}

TEST(Dataset, SharesArePairwiseDistinctAndComplete) {
    const auto dataset = split(read_images(DIGITS_DATA));
    for (const double skew : {0.0, 0.5, 0.9, 1.0}) {
        std::size_t training = 0;
        std::size_t held_out = 0;
        for (int number = 0; number < 3; ++number) {
            const auto share = take_share(dataset, {number, 3, skew});
            training += share.training.size();
            held_out += share.held_out.size();
        }
        EXPECT_EQ(training, dataset.training.size()) << skew;
        EXPECT_EQ(held_out, dataset.held_out.size()) << skew;
    }
}

TEST(Dataset, SkewKeepsDigitsAtHome) {
    const auto dataset = split(read_images(DIGITS_DATA));
    const auto foreign = [&](double skew) {
        const auto share = take_share(dataset, {0, 2, skew});
        return std::count_if(share.training.begin(), share.training.end(),
                             [](const Image& image) { return image.digit >= 5; });
    };
    EXPECT_EQ(foreign(1.0), 0);
    EXPECT_GT(foreign(0.9), 0);
    EXPECT_LT(foreign(0.9), foreign(0.0) / 5);
}

TEST(Dataset, OneShareIsAll) {
    const auto dataset = split(read_images(DIGITS_DATA));
    const auto share = take_share(dataset, {});
    EXPECT_EQ(share.training.size(), dataset.training.size());
    EXPECT_EQ(share.held_out.size(), dataset.held_out.size());
}

TEST(Dataset, PixelsAreScaled) {
    const File file(row("8", "3") + "\n");
    const auto images = read_images(file.path());
    ASSERT_EQ(images.size(), 1U);
    EXPECT_EQ(images[0].pixels[0], 0.5F);
    EXPECT_EQ(images[0].pixels[63], 1.0F);
    EXPECT_EQ(images[0].digit, 3);
}

TEST(Dataset, RefusesWhatIsNoDataAndNamesTheLine) {
    const std::string good = row("0", "0") + "\n";
    for (const auto& bad : {std::string("\n"), row("17", "0"), row("-1", "0"), row("0", "10"), row("0", "1,"),
                            row("0", "1,2"), row("0", ""), row("x", "1"), row(" 1", "1"), std::string("1,2,3")}) {
        const File file(good + bad + "\n");
        try {
            (void)read_images(file.path());
            ADD_FAILURE() << "accepted: " << bad;
        } catch (const std::runtime_error& error) {
            EXPECT_NE(std::string(error.what()).find(":2:"), std::string::npos) << error.what();
        }
    }
    const File empty("");
    EXPECT_THROW((void)read_images(empty.path()), std::runtime_error);
    EXPECT_THROW((void)read_images(empty.path() + "-missing"), std::runtime_error);
}

TEST(RandomNumbers, AreThoseOfSplitMix64) {
    Random random(1234567);
    EXPECT_EQ(random.next(), 6457827717110365317U);
    EXPECT_EQ(random.next(), 3203168211198807973U);
    EXPECT_EQ(random.next(), 9817491932198370423U);
    for (int i = 0; i < 1000; ++i) EXPECT_LT(random.below(3), 3U);
}

// The analytic gradient against differences of the loss, for one parameter of each layer.
TEST(Network, GradientIsTheSlopeOfTheLoss) {
    const auto images = read_images(DIGITS_DATA);
    auto parameters = initial_parameters(1);
    std::vector<float> gradient(Layout::kSize);
    accumulate_gradient(parameters, images[3], gradient);
    std::vector<float> ignored(Layout::kSize);
    for (const auto i : {Layout::kW1 + 20 * kHidden + 7, Layout::kB1 + 9, Layout::kW2 + 13, Layout::kB2 + 4}) {
        constexpr float kStep = 1e-2F;
        const float original = parameters[i];
        parameters[i] = original + kStep;
        const float above = accumulate_gradient(parameters, images[3], ignored).loss;
        parameters[i] = original - kStep;
        const float below = accumulate_gradient(parameters, images[3], ignored).loss;
        parameters[i] = original;
        EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-2) << "parameter " << i;
    }
}

}  // namespace
}  // namespace digits
