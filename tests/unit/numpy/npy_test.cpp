// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/numpy/npy.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <numeric>

#include "rankexec/core/system/unique_fd.hpp"
#include "unit/cli/temporary_folder.hpp"

namespace rankexec::numpy {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kEnough = std::size_t{1} << 30U;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

/// A file of format 1.0 with that literal.
std::string file_with(const std::string& literal, const std::string& elements = "", char major = 1) {
    std::string file("\x93NUMPY", 6);
    file += major;
    file += '\0';
    const auto size = literal.size() + 1;
    file += static_cast<char>(size & 0xffU);
    file += static_cast<char>(size >> 8U);
    if (major != 1) file += std::string(2, '\0');
    return file + literal + "\n" + elements;
}

std::string literal_of(const std::string& descr, const std::string& shape, const std::string& order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
}

std::string refusal(const std::string& file) {
    const auto tensor = decode_npy(bytes_of(file));
    EXPECT_FALSE(tensor);
    return tensor ? "" : tensor.error();
}

TEST(Npy, WhatIsWrittenIsRead) {
    const cli::TemporaryFolder folder;
    const std::vector<float> elements{1.5F, -2, 3, 4, 5, 6};
    const std::vector<std::byte> half(4, std::byte{0x3c});
    const std::vector<Tensor> tensors{Tensor::copy_of<float>(elements, {2, 3}),
                                      Tensor::copy_of<float>(elements, {6}),
                                      Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{-7}, {}),
                                      Tensor::copy_of<float>(std::span<const float>(), {0, 4}),
                                      Tensor::copy_bytes(DType::bfloat16, {2}, half),
                                      Tensor::copy_bytes(DType::float16, {1, 2}, half),
                                      Tensor::copy_bytes(DType::boolean, {4}, half)};
    for (const auto& tensor : tensors) {
        const auto path = folder.path() / "array.npy";
        {
            const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
            ASSERT_TRUE(write_npy(file.get(), tensor));
        }
        const auto read = read_npy(path, kEnough);
        ASSERT_TRUE(read) << read.error();
        EXPECT_EQ(*read, tensor);
    }
}

/// What NumPy itself writes, of every element type and order.
TEST(Npy, NumpysFilesAreRead) {
    const cli::TemporaryFolder folder;
    const auto program = folder.write("write.py", R"(
import numpy, sys
for kind in 'b1 i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8'.split():
    array = (numpy.arange(24) % 2 if kind == 'b1' else numpy.arange(24)).reshape(2, 3, 4).astype(kind)
    numpy.save(kind + '-c.npy', array)
    numpy.save(kind + '-f.npy', numpy.asfortranarray(array))
numpy.save('scalar.npy', numpy.float64(0.5))
numpy.save('transposed.npy', numpy.arange(6, dtype='f4').reshape(2, 3).T)
with open('two.npy', 'wb') as file:
    numpy.lib.format.write_array(file, numpy.arange(3, dtype='i4'), version=(2, 0))
numpy.save('big.npy', numpy.arange(3, dtype='>f4'))
numpy.save('objects.npy', numpy.array([{}], dtype=object), allow_pickle=True)
numpy.save('fields.npy', numpy.zeros(2, dtype=[('a', 'f4')]))
numpy.save('text.npy', numpy.array(['abc']))
numpy.save('complex.npy', numpy.zeros(2, dtype='c8'))
)");
    const auto command = "cd '" + folder.path().string() + "' && /usr/bin/python3 " + program.string();
    ASSERT_EQ(std::system(command.c_str()), 0);
    for (const std::string kind : {"b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"}) {
        const auto row_major = read_npy(folder.path() / (kind + "-c.npy"), kEnough);
        const auto column_major = read_npy(folder.path() / (kind + "-f.npy"), kEnough);
        ASSERT_TRUE(row_major) << row_major.error();
        ASSERT_TRUE(column_major) << column_major.error();
        EXPECT_EQ(row_major->shape(), (Shape{2, 3, 4}));
        EXPECT_EQ(*row_major, *column_major) << kind;
        EXPECT_EQ(npy_type(row_major->dtype())->substr(1), kind);
    }
    std::vector<std::int32_t> counted(24);
    std::iota(counted.begin(), counted.end(), 0);
    const auto integers = read_npy(folder.path() / "i4-f.npy", kEnough).value();
    EXPECT_EQ(integers, Tensor::copy_of<std::int32_t>(counted, {2, 3, 4}));
    EXPECT_EQ(read_npy(folder.path() / "scalar.npy", kEnough)->elements<double>()[0], 0.5);
    const std::vector<float> transposed{0, 3, 1, 4, 2, 5};
    EXPECT_EQ(read_npy(folder.path() / "transposed.npy", kEnough).value(), Tensor::copy_of<float>(transposed, {3, 2}));
    EXPECT_EQ(read_npy(folder.path() / "two.npy", kEnough)->shape(), Shape{3});
    EXPECT_THAT(read_npy(folder.path() / "big.npy", kEnough).error(), HasSubstr("astype('<f4')"));
    EXPECT_THAT(read_npy(folder.path() / "objects.npy", kEnough).error(), HasSubstr("Python objects"));
    EXPECT_THAT(read_npy(folder.path() / "fields.npy", kEnough).error(), HasSubstr("structured"));
    EXPECT_THAT(read_npy(folder.path() / "text.npy", kEnough).error(), HasSubstr("'<U3'"));
    EXPECT_THAT(read_npy(folder.path() / "complex.npy", kEnough).error(), HasSubstr("'<c8'"));
}

TEST(Npy, KeysComeInAnyOrderWithAnySpace) {
    const auto file = file_with("{ \"shape\" :( 2 ,),'fortran_order':True ,\n'descr':\"|u1\"}   ", "ab");
    const auto tensor = decode_npy(bytes_of(file));
    ASSERT_TRUE(tensor) << tensor.error();
    EXPECT_EQ(tensor->shape(), Shape{2});
    EXPECT_EQ(tensor->elements<std::uint8_t>()[1], 'b');
}

TEST(Npy, HeadersThatAreNoneAreRefused) {
    const auto good = literal_of("|u1", "(2,)");
    EXPECT_TRUE(decode_npy(bytes_of(file_with(good, "ab"))));
    EXPECT_THAT(refusal(""), HasSubstr("no .npy file"));
    EXPECT_THAT(refusal("PK\x03\x04 is a zip"), HasSubstr("no .npy file"));
    EXPECT_THAT(refusal(file_with(good).substr(0, 9)), HasSubstr("truncated in its header"));
    EXPECT_THAT(refusal(file_with(good).substr(0, 40)), HasSubstr("truncated in its header"));
    EXPECT_THAT(refusal(file_with(good, "ab", 3)), HasSubstr("format 3.0"));
    EXPECT_THAT(refusal(file_with("{}")), HasSubstr("not all of"));
    EXPECT_THAT(refusal(file_with("")), HasSubstr("'{' is missing"));
    EXPECT_THAT(refusal(file_with(good + good)), HasSubstr("comes after it"));
    EXPECT_THAT(refusal(file_with("{'descr': '|u1', 'descr': '|u1'}")), HasSubstr("twice"));
    EXPECT_THAT(refusal(file_with("{'descr': '|u1', 'colour': 'red'}")), HasSubstr("'colour' is unknown"));
    EXPECT_THAT(refusal(file_with("{'descr': '|u1' 'shape': ()}")), HasSubstr("comma"));
    EXPECT_THAT(refusal(file_with("{'descr': '|u1")), HasSubstr("no end"));
    EXPECT_THAT(refusal(file_with("{'descr': '\\x27'}")), HasSubstr("backslash"));
    EXPECT_THAT(refusal(file_with(literal_of("|u1", "(2,)", "1"))), HasSubstr("True nor False"));
    EXPECT_THAT(refusal(file_with(literal_of("|u1", "(-2,)"))), HasSubstr("no number from 0"));
    EXPECT_THAT(refusal(file_with(literal_of("|u1", "(99999999999999999999,)"))), HasSubstr("no number from 0"));
    EXPECT_THAT(refusal(file_with(literal_of("|u1", "[2]"))), HasSubstr("'(' is missing"));
    EXPECT_THAT(refusal(file_with(literal_of("", "()"))), HasSubstr("none"));
    EXPECT_THAT(refusal(file_with(literal_of("<f3", "()"))), HasSubstr("'<f3'"));
    std::string many = "(";
    for (int dimension = 0; dimension < 33; ++dimension) many += "1,";
    EXPECT_THAT(refusal(file_with(literal_of("|u1", many + ")"))), HasSubstr("32 dimensions"));
}

TEST(Npy, SizesThatDoNotFitAreRefused) {
    EXPECT_THAT(refusal(file_with(literal_of("<f4", "(2,)"), "1234567")), HasSubstr("truncated"));
    EXPECT_THAT(refusal(file_with(literal_of("<f4", "(2,)"), "123456789")), HasSubstr("header says 8"));
    EXPECT_THAT(refusal(file_with(literal_of("<f8", "(4611686018427387904,)"))), HasSubstr("can be counted"));
    EXPECT_THAT(refusal(file_with(literal_of("|u1", "(4294967296, 4294967296)"))), HasSubstr("can be counted"));
    EXPECT_THAT(refusal(file_with(literal_of("<f8", "(1000000000000,)"))), HasSubstr("truncated"));
}

TEST(Npy, OnlyRegularFilesWithinTheLimitAreRead) {
    const cli::TemporaryFolder folder;
    const auto path = folder.write("array.npy", file_with(literal_of("|u1", "(2,)"), "ab"));
    EXPECT_TRUE(read_npy(path, 2));
    EXPECT_THAT(read_npy(path, 1).error(), HasSubstr("limit of 1"));
    EXPECT_THAT(read_npy(folder.path() / "missing.npy", 2).error(), HasSubstr("No such file"));
    EXPECT_THAT(read_npy(folder.path(), 2).error(), HasSubstr("no regular file"));
    const auto fifo = folder.path() / "fifo.npy";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    EXPECT_THAT(read_npy(fifo, 2).error(), HasSubstr("no regular file"));
    const auto sparse = folder.write("sparse.npy", file_with(literal_of("|u1", "(1099511627776,)")));
    const auto size = std::filesystem::file_size(sparse);
    ASSERT_EQ(::truncate(sparse.c_str(), static_cast<off_t>(size) + (off_t{1} << 40U)), 0);
    EXPECT_THAT(read_npy(sparse, kEnough).error(), HasSubstr("over the limit"));
}

TEST(Npy, AFileThatCannotBeWrittenIsAnError) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    const auto written = write_npy(full.get(), Tensor());
    ASSERT_FALSE(written);
    EXPECT_THAT(written.error(), HasSubstr("space"));
}

}  // namespace
}  // namespace rankexec::numpy
