// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/numpy/npz.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

namespace rankexec::numpy {
namespace {

namespace fs = std::filesystem;

class NpzWriter : public testing::Test {
protected:
    NpzWriter() {
        std::string pattern = testing::TempDir() + "rankexec-npz-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
    }
    ~NpzWriter() override { fs::remove_all(folder_); }

    [[nodiscard]] fs::path file() const { return folder_ / "model.npz"; }
    [[nodiscard]] std::string content() const {
        std::ifstream stream(file(), std::ios::binary);
        return {std::istreambuf_iterator<char>(stream), {}};
    }
    [[nodiscard]] std::size_t files() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator{}));
    }

    /// Runs Debian's Python with `file` loaded by NumPy as `npz`; true if `expression` holds.
    [[nodiscard]] bool numpy_agrees(const std::string& expression) const {
        const std::string program = "import numpy; npz = numpy.load('" + file().string() + "'); assert " + expression;
        // NOLINTNEXTLINE(concurrency-mt-unsafe): tests run on one thread
        return std::system(("/usr/bin/python3 -c \"" + program + "\"").c_str()) == 0;
    }

    fs::path folder_;
};

template <typename T>
Tensor tensor(std::vector<T> elements, Shape shape) {
    return Tensor::copy_of(std::span<const T>(elements), std::move(shape));
}

TEST_F(NpzWriter, NumpyReadsEveryElementTypeAndShape) {
    const Shareable::Tensors tensors{
        {"w1", tensor<float>({1.5F, -2, 3, 4, 5, 6}, {2, 3})},
        {"a/b c", tensor<double>({0.1}, {1, 1, 1})},
        {"scalar", tensor<std::int64_t>({-7}, {})},
        {"empty", tensor<float>({}, {0, 4})},
        {"u8", tensor<std::uint8_t>({0, 255}, {2})},
        {"i8", tensor<std::int8_t>({-128, 127}, {2})},
        {"u16", tensor<std::uint16_t>({65535}, {1})},
        {"i16", tensor<std::int16_t>({-32768}, {1})},
        {"u32", tensor<std::uint32_t>({4294967295U}, {1})},
        {"i32", tensor<std::int32_t>({-5}, {1})},
        {"u64", tensor<std::uint64_t>({~std::uint64_t{0}}, {1})},
        {"f16", Tensor::copy_bytes(DType::float16, {1}, std::as_bytes(std::span("\x00\x3c", 2)))},
        {"bool", Tensor::copy_bytes(DType::boolean, {2}, std::as_bytes(std::span("\x01\x00", 2)))},
    };
    ASSERT_TRUE(write_npz(file(), tensors));
    EXPECT_TRUE(
        numpy_agrees("sorted(npz.files) == sorted(['w1', 'a/b c', 'scalar', 'empty', 'u8', 'i8', 'u16', 'i16', 'u32',"
                     " 'i32', 'u64', 'f16', 'bool'])"));
    EXPECT_TRUE(numpy_agrees("npz['w1'].dtype == 'float32' and npz['w1'].tolist() == [[1.5, -2, 3], [4, 5, 6]]"));
    EXPECT_TRUE(numpy_agrees("npz['a/b c'].tolist() == [[[0.1]]] and npz['a/b c'].dtype == 'float64'"));
    EXPECT_TRUE(
        numpy_agrees("npz['scalar'].shape == () and int(npz['scalar']) == -7 and npz['empty'].shape == (0, 4)"));
    EXPECT_TRUE(
        numpy_agrees("[npz[n].tolist() for n in ('u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'f16', 'bool')]"
                     " == [[0, 255], [-128, 127], [65535], [-32768], [2**32 - 1], [-5], [2**64 - 1], [1.0],"
                     " [True, False]]"));
    EXPECT_TRUE(numpy_agrees("npz.zip.testzip() is None"));
}

TEST_F(NpzWriter, EqualTensorsGiveEqualFiles) {
    const Shareable::Tensors tensors{{"x", tensor<float>(std::vector<float>(100'000, 0.5F), {100'000})}};
    ASSERT_TRUE(write_npz(file(), tensors));
    const auto first = content();
    ASSERT_TRUE(write_npz(file(), tensors));
    EXPECT_EQ(content(), first);
    EXPECT_EQ(files(), 1U);
}

TEST_F(NpzWriter, NoTensorsAreAnEmptyFileOfThatKind) {
    ASSERT_TRUE(write_npz(file(), {}));
    EXPECT_TRUE(numpy_agrees("npz.files == []"));
}

TEST_F(NpzWriter, WhatNumpyDoesNotKnowIsRefusedAndTheOldFileStays) {
    std::ofstream(file()) << "old";
    const auto bfloat = Tensor::copy_bytes(DType::bfloat16, {1}, std::as_bytes(std::span("\x00\x3c", 2)));
    const auto good = tensor<float>({1}, {1});
    for (const auto& tensors : {Shareable::Tensors{{"a", good}, {"brain", bfloat}}, Shareable::Tensors{{"", good}},
                                Shareable::Tensors{{std::string("a\0b", 3), good}}}) {
        const auto result = write_npz(file(), tensors);
        ASSERT_FALSE(result);
        EXPECT_EQ(result.error().code, ReturnCode::bad_request_data);
    }
    EXPECT_EQ(content(), "old");
    EXPECT_EQ(files(), 1U);
}

TEST_F(NpzWriter, FolderThatIsNotThereIsNamed) {
    const auto path = folder_ / "nowhere" / "model.npz";
    const auto result = write_npz(path, {});
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, testing::HasSubstr(path.string()));
    EXPECT_THAT(result.error().message, testing::HasSubstr("No such file"));
}

TEST_F(NpzWriter, PathThatIsAFolderLeavesNothingBehind) {
    fs::create_directory(file());
    EXPECT_FALSE(write_npz(file(), {}));
    EXPECT_EQ(files(), 1U);
}

}  // namespace
}  // namespace rankexec::numpy
