// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/meeting_place.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <set>
#include <span>
#include <system_error>
#include <utility>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/model/utf8.hpp"
#include "rankexec/core/model/wiping.hpp"

namespace rankexec::exchange {
namespace {

/// sockaddr_un holds 107 characters; the sockets' names need the rest.
constexpr std::size_t kLongestFolder = 80;
constexpr std::size_t kLongestName = 256;
constexpr std::size_t kKeyDigits = 2 * Secret::kSize;
constexpr std::size_t kFolderNameBytes = 16;

std::string why(int error) { return std::generic_category().message(error); }

tl::unexpected<std::string> refused(std::string what) { return tl::unexpected(std::move(what)); }

std::optional<std::string> part_error(const char* which, const std::string& text) {
    if (text.empty()) return std::string("the agent's ") + which + " is empty";
    if (text.size() > kLongestName) {
        return std::string("the agent's ") + which + " is longer than " + std::to_string(kLongestName) + " bytes";
    }
    for (const char character : text) {
        if (static_cast<unsigned char>(character) < 0x20 || character == 0x7f) {
            return std::string("the agent's ") + which + " \"" + printable(text, kLongestName) +
                   "\" has a control character";
        }
    }
    if (replace_invalid_utf8(text) != text) return std::string("the agent's ") + which + " is not UTF-8";
    return std::nullopt;
}

std::string hashed(const AgentName& name) {
    std::string text = name.site;
    text.push_back('\0');
    text += name.id;
    std::array<unsigned char, kFolderNameBytes> hash{};
    crypto_generichash(hash.data(), hash.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                       nullptr, 0);
    std::array<char, 2 * kFolderNameBytes + 1> digits{};
    sodium_bin2hex(digits.data(), digits.size(), hash.data(), hash.size());
    return digits.data();
}

/// A folder of this user that nobody else may look into, made if it is missing.
tl::expected<void, std::string> private_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return refused("the folder " + path + " cannot be made: " + why(errno));
    }
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return refused("the folder " + path + ": " + why(errno));
    if (!S_ISDIR(status.st_mode)) return refused(path + " is no folder; remove it");
    if (status.st_uid != ::geteuid()) {
        return refused("the folder " + path + " belongs to another user; name another base folder");
    }
    if ((status.st_mode & 077) != 0) {
        return refused("the folder " + path + " is open to other users; change its mode to 0700 (chmod 700 " + path +
                       ")");
    }
    return {};
}

tl::expected<Secret, std::string> parse_key(const WipedBytes& text, std::size_t size, const std::string& path) {
    const auto* digits = reinterpret_cast<const char*>(text.data());
    const bool ends = size == kKeyDigits || (size == kKeyDigits + 1 && digits[kKeyDigits] == '\n');
    WipedBytes bytes(Secret::kSize);
    std::size_t length = 0;
    if (!ends ||
        sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), digits, kKeyDigits, nullptr,
                       &length, nullptr) != 0 ||
        length != Secret::kSize) {
        return refused("the key file " + path + " does not hold 64 hexadecimal digits; remove it, or copy it again");
    }
    return Secret::copy_of(std::span<const std::byte, Secret::kSize>(bytes.data(), Secret::kSize));
}

/// The key of a file that is there; ENOENT as an empty message.
tl::expected<Secret, std::string> read_key(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!file.valid()) {
        return refused(errno == ENOENT ? std::string() : "the key file " + path + " cannot be read: " + why(errno));
    }
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return refused("the key file " + path + ": " + why(errno));
    if (!S_ISREG(status.st_mode)) return refused("the key file " + path + " is no regular file");
    if (status.st_uid != ::geteuid()) return refused("the key file " + path + " belongs to another user");
    if ((status.st_mode & 077) != 0) {
        return refused("the key file " + path + " is open to other users; change its mode to 0600 (chmod 600 " + path +
                       "), and make a new one if somebody may have read it");
    }
    WipedBytes text(kKeyDigits + 2);
    const auto size = ::read(file.get(), text.data(), text.size());
    if (size < 0) return refused("the key file " + path + " cannot be read: " + why(errno));
    return parse_key(text, static_cast<std::size_t>(size), path);
}

/// Under its name at once and complete; whoever is later finds it there.
tl::expected<void, std::string> make_key(const std::string& path) {
    const auto temporary = path + "." + random_run_id();
    const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file.valid()) return refused("the key file " + path + " cannot be made: " + why(errno));
    const auto secret = Secret::random();
    WipedBytes text(kKeyDigits + 1);
    sodium_bin2hex(reinterpret_cast<char*>(text.data()), text.size(),
                   reinterpret_cast<const unsigned char*>(secret.bytes().data()), Secret::kSize);
    text.back() = static_cast<std::byte>('\n');
    const bool written = ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    int error = written && ::fsync(file.get()) == 0 ? 0 : errno;
    if (error == 0 && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) error = errno;
    ::unlink(temporary.c_str());
    if (error != 0) return refused("the key file " + path + " cannot be made: " + why(error));
    return {};
}

/// The places of this process itself, among whose threads a file lock makes no difference.
std::set<std::string>& own() {
    static std::set<std::string> paths;
    return paths;
}
std::mutex& own_mutex() {
    static std::mutex mutex;
    return mutex;
}

tl::expected<Secret, std::string> get_key(const std::string& path, bool make) {
    auto key = read_key(path);
    if (key || !key.error().empty()) return key;
    if (!make) return refused("there is no key file " + path + "; copy the agent's to it, with mode 0600");
    if (auto made = make_key(path); !made) return refused(made.error());
    key = read_key(path);
    if (!key && key.error().empty()) return refused("the key file " + path + " was removed while it was read");
    return key;
}

}  // namespace

std::optional<std::string> AgentName::error() const {
    if (auto wrong = part_error("site", site)) return wrong;
    if (site.find('/') != std::string::npos) return "the agent's site \"" + site + "\" has a slash";
    return part_error("id", id);
}

tl::expected<AgentName, std::string> AgentName::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) {
        return refused("\"" + printable(text, kLongestName) + "\" is no agent; write SITE/ID");
    }
    AgentName name{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
    if (auto wrong = name.error()) return refused(std::move(*wrong));
    return name;
}

tl::expected<std::string, std::string> meeting_folder(const AgentName& name, const std::string& base) {
    if (auto wrong = name.error()) return refused(std::move(*wrong));
    const auto below = [&](const std::string& parent) { return parent + "/" + hashed(name); };
    if (!base.empty()) {
        if (base.front() != '/') return refused("the base folder " + base + " is not an absolute path");
        auto path = below(base);
        if (path.size() > kLongestFolder) return refused("the base folder " + base + " is too long a path for sockets");
        return path;
    }
    if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/') {
        if (auto path = below(std::string(runtime) + "/rankexec"); path.size() <= kLongestFolder) return path;
    }
    return below("/tmp/rankexec-" + std::to_string(::geteuid()));
}

tl::expected<MeetingPlace, std::string> open_meeting_place(const AgentName& name, const std::string& base,
                                                           const std::string& key_file, bool make_key) {
    auto folder = meeting_folder(name, base);
    if (!folder) return refused(folder.error());
    for (const auto& path : {folder->substr(0, folder->rfind('/')), *folder}) {
        if (auto made = private_folder(path); !made) return refused(made.error());
    }
    auto key = key_file.empty() ? get_key(*folder + "/key", true) : get_key(key_file, make_key);
    if (!key) return refused(key.error());
    return MeetingPlace{std::move(*folder), std::move(*key)};
}

tl::expected<Occupation, std::string> Occupation::begin(const MeetingPlace& place, const AgentName& name) {
    auto path = place.folder + "/agent";
    const auto taken = [&](const std::string& by) {
        return refused("an agent " + name.to_text() + " runs already: process " + by +
                       "; give this one another id, or end that one");
    };
    {
        const std::lock_guard lock(own_mutex());
        if (!own().insert(path).second) return taken(std::to_string(::getpid()));
    }
    // From here on its destructor takes the path out again.
    Occupation occupation(std::move(path), {});
    const auto& file_name = occupation.path_;
    occupation.file_.reset(::open(file_name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!occupation.file_.valid()) return refused("the file " + file_name + " cannot be opened: " + why(errno));
    struct flock wanted {};
    wanted.l_type = F_WRLCK;
    wanted.l_whence = SEEK_SET;
    if (::fcntl(occupation.file_.get(), F_SETLK, &wanted) == 0) return occupation;
    if (errno != EACCES && errno != EAGAIN)
        return refused("the file " + file_name + " cannot be locked: " + why(errno));
    const bool told = ::fcntl(occupation.file_.get(), F_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK;
    return taken(told ? std::to_string(wanted.l_pid) : std::string("unknown"));
}

Occupation::~Occupation() {
    if (path_.empty()) return;
    file_.reset();
    const std::lock_guard lock(own_mutex());
    own().erase(path_);
}

}  // namespace rankexec::exchange
