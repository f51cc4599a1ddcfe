// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "rankexec/core/model/failure.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"

namespace rankexec::pipe {

/// The folders of a file pipe, held open: whoever replaces one by another, or by a link, changes nothing for us.
/// One thread at a time; the descriptors may be used by any.
class PipeFolders {
public:
    /// Makes below `root`, and root itself (not what is above it), what is missing, for this user alone; removes what
    /// an earlier process of this end left unfinished. Fails when others may write to a folder, or when something is in
    /// the way.
    [[nodiscard]] static tl::expected<PipeFolders, Failure> open(const std::string& root, PipeMode mode);

    /// Where this end puts its messages, and where it finds the other's.
    [[nodiscard]] int outgoing() const noexcept { return outgoing_.get(); }
    [[nodiscard]] int incoming() const noexcept { return incoming_.get(); }
    /// For what is being written, and being read.
    [[nodiscard]] int temporary() const noexcept { return temporary_.get(); }
    /// Above all of them.
    [[nodiscard]] int root() const noexcept { return root_.get(); }
    /// For what is no message.
    [[nodiscard]] int refused() const noexcept { return refused_.get(); }

    /// Removes all folders with what is in them, and root if it was made here and nothing else is in it.
    void remove();

private:
    std::string root_path_;
    bool made_root_ = false;
    UniqueFd root_;
    UniqueFd outgoing_;
    UniqueFd incoming_;
    UniqueFd temporary_;
    UniqueFd refused_;
};

/// What is in a folder, sorted, without what begins with a dot (a network file system's own). False when it cannot be
/// read.
[[nodiscard]] bool list(int folder, std::vector<std::string>& names);
/// Whether the folder was removed.
[[nodiscard]] bool is_gone(int folder);
/// Takes a message away from its sender, who can tell that from the reader's taking it: the file was emptied.
void discard(int folder, const std::string& name);

}  // namespace rankexec::pipe
