// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/numpy/npy.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <system_error>
#include <utility>
#include <vector>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/numpy/npy_literal.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::numpy {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::string_view kBfloat16 = "<V2";
constexpr std::size_t kShown = 40;

tl::unexpected<std::string> error(std::string what) { return tl::unexpected(std::move(what)); }
tl::unexpected<std::string> system_error() { return error(std::generic_category().message(errno)); }

constexpr std::array kDTypes{DType::boolean, DType::int8,    DType::uint8,   DType::int16,
                             DType::uint16,  DType::int32,   DType::uint32,  DType::int64,
                             DType::uint64,  DType::float16, DType::float32, DType::float64};

tl::expected<DType, std::string> dtype_of(const std::string& descr) {
    if (descr.size() < 2) return error("its element type '" + printable(descr, kShown) + "' is none");
    const char order = descr.front();
    const auto kind = std::string_view(descr).substr(1);
    if (kind.front() == 'O')
        return error("it holds Python objects, which no tensor can hold; save an array of numbers");
    if (kind == "V2") return DType::bfloat16;
    for (const auto dtype : kDTypes) {
        if (npy_type(dtype)->substr(1) != kind) continue;
        if (order == '<' || order == '=' || order == '|') return dtype;
        if (order == '>' && element_size(dtype) == 1) return dtype;
        if (order == '>') {
            return error("its elements are big-endian; save array.astype('<" + std::string(kind) + "') instead");
        }
    }
    return error("its element type '" + printable(descr, kShown) +
                 "' is none of a tensor's (bool, integers, float16, float32, float64); convert it with astype");
}

/// Length of the literal, and where it begins.
struct Preamble {
    std::size_t begin = 0;
    std::size_t length = 0;
};

tl::expected<Preamble, std::string> read_preamble(std::span<const std::byte> beginning) {
    const std::string_view text(reinterpret_cast<const char*>(beginning.data()), beginning.size());
    if (!text.starts_with(kMagic)) return error("it is no .npy file (it does not begin as one)");
    if (text.size() < kMagic.size() + 4) return error("it is truncated in its header");
    const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(beginning[at]); };
    const auto major = byte(kMagic.size());
    const auto minor = byte(kMagic.size() + 1);
    if ((major != 1 && major != 2) || minor != 0) {
        return error("it has format " + std::to_string(major) + "." + std::to_string(minor) +
                     ", and only 1.0 and 2.0 can be read");
    }
    Preamble preamble;
    const std::size_t digits = major == 1 ? 2 : 4;
    preamble.begin = kMagic.size() + 2 + digits;
    if (text.size() < preamble.begin) return error("it is truncated in its header");
    for (std::size_t at = 0; at < digits; ++at) preamble.length |= byte(kMagic.size() + 2 + at) << (8 * at);
    if (preamble.length > kLongestNpyHeader - preamble.begin) return error("its header is longer than 64 KiB");
    if (text.size() - preamble.begin < preamble.length) return error("it is truncated in its header");
    return preamble;
}

using Memory = std::shared_ptr<std::byte[]>;

tl::expected<Memory, std::string> allocate(std::size_t bytes) {
    try {
        return Memory(new std::byte[std::max<std::size_t>(bytes, 1)]);
    } catch (const std::bad_alloc&) {
        return error("no memory left for its " + std::to_string(bytes) + " bytes");
    }
}

/// Elements whose first index runs fastest, put so that the last one does.
void to_row_major(const NpyHeader& header, const std::byte* from, std::byte* to) {
    const auto size = element_size(header.dtype);
    struct Axis {
        std::int64_t length;
        std::size_t stride;
        std::int64_t index = 0;
    };
    std::vector<Axis> axes;
    std::size_t stride = size;
    for (const auto length : header.shape) {
        axes.push_back({length, stride});
        stride *= static_cast<std::size_t>(length);
    }
    std::size_t source = 0;
    for (std::size_t done = 0; done < header.bytes; done += size) {
        std::memcpy(to + done, from + source, size);
        for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
            source += axis->stride;
            if (++axis->index < axis->length) break;
            source -= axis->stride * static_cast<std::size_t>(axis->length);
            axis->index = 0;
        }
    }
}

/// The tensor of elements that lie as the file has them.
tl::expected<Tensor, std::string> to_tensor(const NpyHeader& header, Memory elements) {
    if (header.fortran_order && header.shape.size() > 1) {
        auto ordered = allocate(header.bytes);
        if (!ordered) return tl::unexpected(ordered.error());
        to_row_major(header, elements.get(), ordered->get());
        elements = std::move(*ordered);
    }
    const std::span<const std::byte> bytes(elements.get(), header.bytes);
    return Tensor::adopt(header.dtype, header.shape, bytes, std::move(elements));
}

std::optional<std::string> size_error(const NpyHeader& header, std::uint64_t file_size) {
    const auto there = file_size - std::min<std::uint64_t>(file_size, header.size);
    if (there == header.bytes) return std::nullopt;
    return "it holds " + std::to_string(there) + " bytes of elements, and its header says " +
           std::to_string(header.bytes) + (there < header.bytes ? ": it is truncated" : "");
}

/// How many bytes could be read.
tl::expected<std::size_t, std::string> read_up_to(int fd, std::span<std::byte> bytes) {
    std::size_t filled = 0;
    while (filled < bytes.size()) {
        const auto size = ::read(fd, bytes.data() + filled, bytes.size() - filled);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return system_error();
        if (size == 0) break;
        filled += static_cast<std::size_t>(size);
    }
    return filled;
}

tl::expected<void, std::string> write_all(int fd, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return system_error();
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return {};
}

}  // namespace

std::optional<std::string_view> npy_type(DType dtype) {
    switch (dtype) {
        case DType::boolean: return "|b1";
        case DType::int8: return "|i1";
        case DType::uint8: return "|u1";
        case DType::int16: return "<i2";
        case DType::uint16: return "<u2";
        case DType::int32: return "<i4";
        case DType::uint32: return "<u4";
        case DType::int64: return "<i8";
        case DType::uint64: return "<u8";
        case DType::float16: return "<f2";
        case DType::float32: return "<f4";
        case DType::float64: return "<f8";
        case DType::bfloat16: return std::nullopt;
    }
    return std::nullopt;
}

// 32 dimensions at most fit into the 64 KiB of format 1.0 by far.
std::string npy_header(std::string_view type, const Shape& shape) {
    constexpr std::string_view kVersion("\x01\x00", 2);
    constexpr std::size_t kAlignment = 64;
    std::string literal = "{'descr': '" + std::string(type) + "', 'fortran_order': False, 'shape': (";
    for (const auto extent : shape) literal += std::to_string(extent) + ", ";
    literal += "), }";
    const auto unpadded = kMagic.size() + kVersion.size() + 2 + literal.size() + 1;
    literal.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
    literal += '\n';
    std::string header(kMagic);
    header += kVersion;
    header += static_cast<char>(literal.size() & 0xffU);
    header += static_cast<char>(literal.size() >> 8U);
    return header + literal;
}

tl::expected<NpyHeader, std::string> read_npy_header(std::span<const std::byte> beginning) {
    const auto preamble = read_preamble(beginning);
    if (!preamble) return tl::unexpected(preamble.error());
    const auto text = beginning.subspan(preamble->begin, preamble->length);
    auto literal = parse_npy_literal({reinterpret_cast<const char*>(text.data()), text.size()});
    if (!literal) return tl::unexpected(literal.error());
    const auto dtype = dtype_of(literal->descr);
    if (!dtype) return tl::unexpected(dtype.error());
    const auto count = element_count(literal->shape);
    const auto most = std::numeric_limits<std::int64_t>::max() / static_cast<std::int64_t>(element_size(*dtype));
    if (!count || *count > most) return error("its shape has more elements than can be counted");
    NpyHeader header;
    header.dtype = *dtype;
    header.shape = std::move(literal->shape);
    header.fortran_order = literal->fortran_order;
    header.size = preamble->begin + preamble->length;
    header.bytes = static_cast<std::size_t>(*count) * element_size(*dtype);
    return header;
}

tl::expected<Tensor, std::string> decode_npy(std::span<const std::byte> file) {
    const auto header = read_npy_header(file);
    if (!header) return tl::unexpected(header.error());
    if (auto wrong = size_error(*header, file.size())) return tl::unexpected(std::move(*wrong));
    auto elements = allocate(header->bytes);
    if (!elements) return tl::unexpected(elements.error());
    if (header->bytes > 0) std::memcpy(elements->get(), file.data() + header->size, header->bytes);
    return to_tensor(*header, std::move(*elements));
}

tl::expected<Tensor, std::string> read_npy(const std::filesystem::path& path, std::size_t most_bytes) {
    // Without waiting for the writer of a FIFO.
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!file.valid()) return system_error();
    return read_npy(file.get(), most_bytes);
}

tl::expected<Tensor, std::string> read_npy(int fd, std::size_t most_bytes) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return system_error();
    if (!S_ISREG(status.st_mode)) return error("it is no regular file");
    const auto file_size = static_cast<std::uint64_t>(status.st_size);
    std::vector<std::byte> beginning(std::min<std::uint64_t>(file_size, kLongestNpyHeader));
    const auto there = read_up_to(fd, beginning);
    if (!there) return tl::unexpected(there.error());
    beginning.resize(*there);
    const auto header = read_npy_header(beginning);
    if (!header) return tl::unexpected(header.error());
    if (auto wrong = size_error(*header, file_size)) return tl::unexpected(std::move(*wrong));
    if (header->bytes > most_bytes) {
        return error("it holds " + std::to_string(header->bytes) + " bytes of elements, over the limit of " +
                     std::to_string(most_bytes));
    }
    auto elements = allocate(header->bytes);
    if (!elements) return tl::unexpected(elements.error());
    const auto read_already = std::min(beginning.size() - header->size, header->bytes);
    std::memcpy(elements->get(), beginning.data() + header->size, read_already);
    const auto rest = read_up_to(fd, {elements->get() + read_already, header->bytes - read_already});
    if (!rest) return tl::unexpected(rest.error());
    if (*rest != header->bytes - read_already) return error("it was cut while it was read");
    return to_tensor(*header, std::move(*elements));
}

tl::expected<void, std::string> write_npy(int fd, const Tensor& tensor) {
    const auto header = npy_header(npy_type(tensor.dtype()).value_or(kBfloat16), tensor.shape());
    if (auto written = write_all(fd, std::as_bytes(std::span(header))); !written) return written;
    return write_all(fd, tensor.bytes());
}

}  // namespace rankexec::numpy
