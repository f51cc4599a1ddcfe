// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace rankexec::process {

/// Removes the folder and all in it, never anything outside: no symbolic link is followed, no mount
/// point is entered, and a folder that is itself a link, or is not ours alone (owner and mode), is left
/// as it is. The path must be absolute. Returns 0 or the errno of the first thing that could not be removed; ENOENT
/// when it is not there.
int remove_tree(const std::string& folder);

}  // namespace rankexec::process
