// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/pipe/pipe_folders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include "rankexec/core/system/log.hpp"

namespace rankexec::pipe {
namespace {

constexpr const char* kToPassive = "to_passive";
constexpr const char* kToActive = "to_active";
constexpr const char* kTemporary = "temporary";
constexpr const char* kRefused = "refused";
constexpr std::array kFolders{kToPassive, kToActive, kTemporary, kRefused};

tl::unexpected<Failure> failure(std::string message) {
    Failure result;
    result.code = ReturnCode::launch_error;
    result.message = "file pipe: " + std::move(message);
    return tl::unexpected(std::move(result));
}

std::string reason() { return std::generic_category().message(errno); }

/// The folder, made if it is missing. `path` is for people.
tl::expected<UniqueFd, Failure> open_folder(int parent, const char* name, const std::string& path, bool* made) {
    const bool fresh = ::mkdirat(parent, name, 0700) == 0;
    if (made != nullptr) *made = fresh;
    if (!fresh && errno != EEXIST) return failure(path + " could not be made: " + reason());
    UniqueFd folder(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!folder.valid() || ::fstat(folder.get(), &status) != 0) {
        return failure(path + " could not be opened: " + reason());
    }
    // What others write into it would be read as the peer's.
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return failure(path + " may be written to by others; remove it, or make it private (chmod 700)");
    }
    return folder;
}

}  // namespace

bool list(int folder, std::vector<std::string>& names) {
    names.clear();
    const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) return false;
    DIR* stream = ::fdopendir(own);
    if (stream == nullptr) {
        ::close(own);
        return false;
    }
    errno = 0;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own
    while (const dirent* entry = ::readdir(stream)) {
        if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
    }
    const bool complete = errno == 0;  // a folder that was removed has no entries to read
    ::closedir(stream);
    std::ranges::sort(names);
    return complete;
}

bool is_gone(int folder) {
    struct stat status {};
    return ::fstat(folder, &status) != 0 || status.st_nlink == 0;
}

void discard(int folder, const std::string& name) {
    const UniqueFd file(::openat(folder, name.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (::unlinkat(folder, name.c_str(), 0) != 0) (void)::unlinkat(folder, name.c_str(), AT_REMOVEDIR);
}

tl::expected<PipeFolders, Failure> PipeFolders::open(const std::string& root, PipeMode mode) {
    PipeFolders folders;
    folders.root_path_ = root;
    auto opened = open_folder(AT_FDCWD, root.c_str(), root, &folders.made_root_);
    if (!opened) return tl::unexpected(opened.error());
    folders.root_ = std::move(*opened);
    const bool passive = mode == PipeMode::passive;
    const std::array<std::pair<const char*, UniqueFd*>, 4> wanted{
        {{kToPassive, passive ? &folders.incoming_ : &folders.outgoing_},
         {kToActive, passive ? &folders.outgoing_ : &folders.incoming_},
         {kTemporary, &folders.temporary_},
         {kRefused, &folders.refused_}}};
    for (const auto& [name, where] : wanted) {
        auto folder = open_folder(folders.root_.get(), name, root + "/" + name, nullptr);
        if (!folder) {
            if (passive) folders.remove();
            return tl::unexpected(folder.error());
        }
        *where = std::move(*folder);
    }
    std::vector<std::string> names;
    (void)list(folders.temporary(), names);
    for (const auto& name : names) {
        if (name.starts_with(passive ? "passive-" : "active-")) discard(folders.temporary(), name);
    }
    return folders;
}

void PipeFolders::remove() {
    for (const char* name : kFolders) {
        const UniqueFd folder(::openat(root_.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!folder.valid()) continue;
        // The peer may still be putting something there.
        std::vector<std::string> names;
        for (int round = 0; round < 8; ++round) {
            (void)list(folder.get(), names);
            for (const auto& entry : names) discard(folder.get(), entry);
            if (::unlinkat(root_.get(), name, AT_REMOVEDIR) == 0 || errno != ENOTEMPTY) break;
        }
        if (!is_gone(folder.get())) {
            log::warning("file pipe: " + root_path_ + "/" + name + " could not be removed; something else is in it");
        }
    }
    if (made_root_ && ::rmdir(root_path_.c_str()) != 0) {
        log::warning("file pipe: " + root_path_ + " could not be removed: " + reason());
    }
}

}  // namespace rankexec::pipe
