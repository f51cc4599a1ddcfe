// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/numpy/npz.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <system_error>

#include "rankexec/core/numpy/npy.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::numpy {
namespace {

using Result = tl::expected<void, Failure>;

tl::unexpected<Failure> failure(const std::filesystem::path& path, const std::string& reason,
                                ReturnCode code = ReturnCode::execution_exception) {
    Failure result;
    result.code = code;
    result.message = "cannot write " + path.string() + ": " + reason;
    return tl::make_unexpected(std::move(result));
}

tl::unexpected<Failure> system_failure(const std::filesystem::path& path) {
    return failure(path, std::generic_category().message(errno));
}

/// A new file beside another one, removed again unless it takes that one's place.
class FileInTheMaking {
public:
    explicit FileInTheMaking(std::filesystem::path target) : target_(std::move(target)) {}
    FileInTheMaking(const FileInTheMaking&) = delete;
    FileInTheMaking& operator=(const FileInTheMaking&) = delete;
    ~FileInTheMaking() {
        if (!name_.empty()) ::unlink(name_.c_str());
    }

    bool open() {
        static std::atomic<unsigned> counter{0};
        do {
            name_ = target_.string() + ".new-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
            fd_ = UniqueFd(::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        } while (!fd_.valid() && errno == EEXIST);
        if (!fd_.valid()) name_.clear();
        return fd_.valid();
    }

    [[nodiscard]] int fd() const { return fd_.get(); }

    /// Makes the content durable, then the name.
    bool take_place() {
        if (::fsync(fd_.get()) != 0 || ::rename(name_.c_str(), target_.c_str()) != 0) return false;
        name_.clear();
        const auto folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
        const UniqueFd folder_fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // A folder that cannot be opened or synced still has the complete file under its new name.
        if (folder_fd.valid()) (void)::fsync(folder_fd.get());
        return true;
    }

private:
    std::filesystem::path target_;
    std::string name_;
    UniqueFd fd_;
};

struct FreeArchive {
    void operator()(archive* pointer) const { archive_write_free(pointer); }
};
struct FreeEntry {
    void operator()(archive_entry* pointer) const { archive_entry_free(pointer); }
};
using Archive = std::unique_ptr<archive, FreeArchive>;

bool write_member(archive* zip, const std::string& name, const std::string& header, std::span<const std::byte> bytes) {
    const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
    archive_entry_set_pathname_utf8(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(header.size() + bytes.size()));
    constexpr time_t kFirstTimeOfZip = 315'532'800;  // 1980-01-01, the same in every file
    archive_entry_set_mtime(entry.get(), kFirstTimeOfZip, 0);
    return archive_write_header(zip, entry.get()) == ARCHIVE_OK &&
           archive_write_data(zip, header.data(), header.size()) == static_cast<la_ssize_t>(header.size()) &&
           archive_write_data(zip, bytes.data(), bytes.size()) == static_cast<la_ssize_t>(bytes.size());
}

Result write_archive(int fd, const std::filesystem::path& path, const Shareable::Tensors& tensors) {
    const Archive zip(archive_write_new());
    const auto archive_failure = [&] { return failure(path, archive_error_string(zip.get())); };
    if (archive_write_set_format_zip(zip.get()) != ARCHIVE_OK ||
        archive_write_zip_set_compression_store(zip.get()) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(zip.get(), 1) != ARCHIVE_OK ||
        archive_write_open_fd(zip.get(), fd) != ARCHIVE_OK) {
        return archive_failure();
    }
    for (const auto& [name, tensor] : tensors) {
        const auto type = npy_type(tensor.dtype());
        if (!type || name.empty() || name.find('\0') != std::string::npos) {
            return failure(path,
                           "the tensor \"" + name + "\" (" + std::string(to_string(tensor.dtype())) +
                               ") has a type or name that NumPy does not know; convert it first",
                           ReturnCode::bad_request_data);
        }
        if (!write_member(zip.get(), name + ".npy", npy_header(*type, tensor.shape()), tensor.bytes())) {
            return archive_failure();
        }
    }
    if (archive_write_close(zip.get()) != ARCHIVE_OK) return archive_failure();
    return {};
}

}  // namespace

tl::expected<void, Failure> write_npz(const std::filesystem::path& path, const Shareable::Tensors& tensors) {
    FileInTheMaking file(path);
    if (!file.open()) return system_failure(path);
    if (auto written = write_archive(file.fd(), path, tensors); !written) return written;
    if (!file.take_place()) return system_failure(path);
    return {};
}

}  // namespace rankexec::numpy
