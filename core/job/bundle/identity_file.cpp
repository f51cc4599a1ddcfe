// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <system_error>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/job/bundle/hex.hpp"
#include "rankexec/core/job/bundle/identity.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/core/toml/toml_table.hpp"

namespace rankexec::job {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = 16U * 1024;
constexpr mode_t kOfOthers = 077;

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
    throw ConfigurationError(ConfigurationError::Kind::option, file.string() + ": " + why);
}
[[noreturn]] void refuse(const fs::path& file, const char* what, int error) {
    refuse(file, what + (": " + std::generic_category().message(error)));
}

/// A text that held a secret.
struct WipedText {
    std::string text;
    WipedText() = default;
    WipedText(const WipedText&) = delete;
    WipedText& operator=(const WipedText&) = delete;
    ~WipedText() { sodium_memzero(text.data(), text.size()); }
};

void read_private(const fs::path& file, std::string& text) {
    const UniqueFd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!opened.valid()) refuse(file, "the identity cannot be read", errno);
    struct stat state {};
    if (::fstat(opened.get(), &state) != 0) refuse(file, "the identity cannot be read", errno);
    if (!S_ISREG(state.st_mode)) refuse(file, "is no file with an identity");
    if ((state.st_mode & kOfOthers) != 0) {
        refuse(file, "others may read or write this secret; run chmod 600 on it, or enrol again if somebody has");
    }
    if (state.st_size > static_cast<off_t>(kMostBytes)) refuse(file, "is no identity: it is too large");
    text.resize(static_cast<std::size_t>(state.st_size));
    std::size_t filled = 0;
    while (filled < text.size()) {
        const auto got = ::read(opened.get(), text.data() + filled, text.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) refuse(file, "the identity cannot be read", errno);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    text.resize(filled);
}

Secret seed_from(const TomlTable& table) {
    auto bytes = bytes_of<Secret::kSize>(table.required_text("seed"));
    if (!bytes) table.fail("seed", "must be 64 hexadecimal digits");
    const auto seed = Secret::copy_of(*bytes);
    sodium_memzero(bytes->data(), bytes->size());
    return seed;
}

}  // namespace

Identity Identity::load(const fs::path& file) {
    WipedText content;
    read_private(file, content.text);
    try {
        const auto document = parse_toml(content.text, file.string());
        const TomlTable table(document, file.string(), {},
                              {"role", "name", "seed", "controller", "controller_address"});
        const auto role = role_from(table.required_text("role"));
        if (!role) table.fail("role", "must be \"controller\", \"site\" or \"user\"");
        Identity identity(*role, table.required_text("name"), seed_from(table));
        identity.controller_address = table.text("controller_address").value_or("");
        if (const auto controller = table.text("controller")) {
            identity.controller = PublicIdentity::parse(*controller);
            if (identity.controller->role != Role::controller) table.fail("controller", "must be that of a controller");
        }
        return identity;
    } catch (const ConfigurationError& error) {
        const std::string_view message = error.what();
        if (message.starts_with(file.string())) refuse(file, std::string(message.substr(file.string().size() + 1)));
        refuse(file, std::string(message));
    }
}

void Identity::save(const fs::path& file) const {
    std::error_code error;
    if (file.has_parent_path()) fs::create_directories(file.parent_path(), error);
    if (error) refuse(file, "its folder cannot be made", error.value());
    std::ostringstream text;
    text << toml::table{{"role", std::string(to_string(role()))}, {"name", name()}};
    if (!controller_address.empty()) text << "\n" << toml::table{{"controller_address", controller_address}};
    if (controller) text << "\n" << toml::table{{"controller", controller->to_text()}};
    WipedText content;
    content.text = text.str() +
                   "\n# The secret that all keys come from. Whoever reads it can act as this one.\nseed = \"" +
                   hex_of(seed_.bytes()) + "\"\n";

    const UniqueFd opened(::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
    if (!opened.valid() && errno == EEXIST) {
        refuse(file, "is there already, and may be the only copy of its secret; give another file, or remove it");
    }
    if (!opened.valid()) refuse(file, "the identity cannot be written", errno);
    const auto size = static_cast<ssize_t>(content.text.size());
    if (::write(opened.get(), content.text.data(), content.text.size()) != size || ::fsync(opened.get()) != 0) {
        const int reason = errno;
        ::unlink(file.c_str());
        refuse(file, "the identity cannot be written", reason);
    }
}

}  // namespace rankexec::job
