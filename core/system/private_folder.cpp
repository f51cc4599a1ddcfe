// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/system/private_folder.hpp"

#include <system_error>

namespace rankexec {

namespace fs = std::filesystem;

tl::expected<void, std::string> make_private_folder(const fs::path& folder, const char* sign) {
    constexpr auto kOthers = fs::perms::group_all | fs::perms::others_all;
    const auto name = folder.string();
    std::error_code error;
    fs::create_directories(folder, error);
    const bool open = !error && (fs::status(folder, error).permissions() & kOthers) != fs::perms::none;
    if (!error && open) {
        const bool ours = fs::is_empty(folder, error) || fs::exists(folder / sign, error);
        if (!error && !ours) {
            return tl::unexpected("the folder " + name +
                                  " holds files and is open to other users; name one that is not used for anything "
                                  "else, or close it (chmod 700 " +
                                  name + ")");
        }
        if (!error) fs::permissions(folder, fs::perms::owner_all, error);
    }
    if (error) return tl::unexpected("the folder " + name + " cannot be used: " + error.message());
    return {};
}

}  // namespace rankexec
