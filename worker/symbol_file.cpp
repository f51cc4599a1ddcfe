// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/symbol_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::worker {
namespace {

using Header = ElfW(Ehdr);
using Segment = ElfW(Phdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

/// A file in memory, of which nothing is believed: each part is checked before it is read.
class MappedFile {
public:
    explicit MappedFile(const std::string& path) {
        const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat facts {};
        if (!file.valid() || ::fstat(file.get(), &facts) != 0 || facts.st_size <= 0) return;
        const auto size = static_cast<std::size_t>(facts.st_size);
        void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
        if (memory != MAP_FAILED) bytes_ = {static_cast<const std::byte*>(memory), size};
    }
    ~MappedFile() {
        if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
    }
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    template <typename T>
    [[nodiscard]] std::optional<T> at(std::uint64_t offset) const {
        if (offset > bytes_.size() || bytes_.size() - offset < sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, bytes_.data() + offset, sizeof value);
        return value;
    }
    [[nodiscard]] std::string text_at(std::uint64_t offset) const {
        if (offset >= bytes_.size()) return {};
        const auto* const begin = reinterpret_cast<const char*>(bytes_.data() + offset);
        return {begin, ::strnlen(begin, bytes_.size() - offset)};
    }

private:
    std::span<const std::byte> bytes_;
};

bool is_elf(const Header& header) {
    constexpr auto kClass = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
    return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == kClass;
}

/// The address that the first loaded byte has in the file's own numbers.
std::uint64_t lowest_address(const MappedFile& file, const Header& header) {
    std::optional<std::uint64_t> lowest;
    for (std::uint64_t index = 0; index < header.e_phnum; ++index) {
        const auto segment = file.at<Segment>(header.e_phoff + index * sizeof(Segment));
        if (!segment || segment->p_type != PT_LOAD) continue;
        lowest = std::min<std::uint64_t>(lowest.value_or(segment->p_vaddr), segment->p_vaddr);
    }
    return lowest.value_or(0) & ~std::uint64_t{0xfff};
}

std::optional<SymbolPlace> search(const MappedFile& file, const Section& table, const Section& names,
                                  std::uint64_t address) {
    for (std::uint64_t place = 0; place + sizeof(Symbol) <= table.sh_size; place += sizeof(Symbol)) {
        const auto symbol = file.at<Symbol>(table.sh_offset + place);
        if (!symbol) return std::nullopt;
        const bool function = ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF;
        if (!function || address < symbol->st_value || address - symbol->st_value >= symbol->st_size) continue;
        return SymbolPlace{file.text_at(names.sh_offset + symbol->st_name), address - symbol->st_value};
    }
    return std::nullopt;
}

}  // namespace

std::optional<SymbolPlace> find_symbol(const std::string& path, std::uint64_t offset) {
    const MappedFile file(path);
    const auto header = file.at<Header>(0);
    if (!header || !is_elf(*header)) return std::nullopt;
    const auto section = [&](std::uint64_t index) {
        return file.at<Section>(header->e_shoff + index * sizeof(Section));
    };
    const auto address = lowest_address(file, *header) + offset;
    for (std::uint64_t index = 0; index < header->e_shnum; ++index) {
        const auto table = section(index);
        if (!table) return std::nullopt;
        if (table->sh_type != SHT_SYMTAB) continue;
        const auto names = section(table->sh_link);
        return names ? search(file, *table, *names, address) : std::nullopt;
    }
    return std::nullopt;
}

}  // namespace rankexec::worker
