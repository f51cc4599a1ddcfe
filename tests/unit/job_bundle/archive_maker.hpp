// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <filesystem>
#include <functional>
#include <string>

namespace rankexec::job {

/// Writes archives that pack_folder() would not.
class ArchiveMaker {
public:
    enum class Filter { gzip, none, bzip2 };
    explicit ArchiveMaker(const std::filesystem::path& file, Filter filter = Filter::gzip);
    ArchiveMaker(const ArchiveMaker&) = delete;
    ArchiveMaker& operator=(const ArchiveMaker&) = delete;
    ~ArchiveMaker();

    /// `change` may make something else of it.
    ArchiveMaker& file(const std::string& path, const std::string& content = "content",
                       const std::function<void(archive_entry*)>& change = {});
    ArchiveMaker& folder(const std::string& path);
    ArchiveMaker& link(const std::string& path, const std::string& target);
    ArchiveMaker& zeros(const std::string& path, std::int64_t size);

private:
    archive* handle_;
};

}  // namespace rankexec::job
