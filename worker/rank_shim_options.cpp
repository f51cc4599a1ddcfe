// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/rank_shim_options.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>

#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/unique_fd.hpp"

namespace rankexec::worker {
namespace {

constexpr const char* kFileVariable = "RANKEXEC_BOOTSTRAP_FILE";
constexpr const char* kTextVariable = "RANKEXEC_BOOTSTRAP";
constexpr std::size_t kLongest = std::size_t{64} << 10U;

/// The file's content, at most one byte more than a bootstrap may have.
tl::expected<std::string, std::string> read_file(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    std::string text(kLongest + 1, '\0');
    std::size_t size = 0;
    while (file.valid() && size < text.size()) {
        const auto count = ::read(file.get(), text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return tl::unexpected(path + ": " + std::generic_category().message(errno));
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    if (!file.valid()) return tl::unexpected(path + ": " + std::generic_category().message(errno));
    text.resize(size);
    return text;
}

/// The variable's value, which is zeroed in place: removing it would leave the bytes readable.
std::string take_variable(const char* name) {
    char* value = std::getenv(name);
    if (value == nullptr) return {};
    std::string copy(value);
    ::explicit_bzero(value, copy.size());
    ::unsetenv(name);
    return copy;
}

/// "=" and then the word with %XX for some characters; nothing when it is not that.
std::optional<std::string> decode(std::string_view word) {
    if (!word.starts_with('=')) return std::nullopt;
    std::string result;
    for (std::size_t at = 1; at < word.size(); ++at) {
        if (word[at] != '%') {
            result += word[at];
            continue;
        }
        unsigned code = 0;
        const auto* digits = word.data() + at + 1;
        if (at + 2 >= word.size() || std::from_chars(digits, digits + 2, code, 16).ptr != digits + 2)
            return std::nullopt;
        result += static_cast<char>(code);
        at += 2;
    }
    return result;
}

}  // namespace

tl::expected<ShimArguments, std::string> parse_shim_arguments(const std::vector<std::string>& arguments) {
    ShimArguments result;
    bool encoded = false;
    auto next = arguments.begin();
    for (; next != arguments.end() && *next != "--"; ++next) {
        if (*next == "--launcher" && next + 1 != arguments.end()) {
            result.launcher = *++next;
        } else if (*next == "--encoded") {
            encoded = true;
        } else {
            return tl::unexpected("unknown argument " + *next);
        }
    }
    if (next != arguments.end()) ++next;
    for (; next != arguments.end(); ++next) {
        auto word = encoded ? decode(*next) : std::optional(*next);
        if (!word) return tl::unexpected("the word " + *next + " is not encoded as --encoded says");
        result.program.push_back(std::move(*word));
    }
    if (result.launcher.empty()) return tl::unexpected(std::string("--launcher is missing"));
    if (result.program.empty()) return tl::unexpected(std::string("no program is given"));
    return result;
}

tl::expected<Bootstrap, std::string> take_bootstrap() {
    const auto path = take_variable(kFileVariable);
    auto text = take_variable(kTextVariable);
    std::string file_error;
    if (!path.empty()) {
        if (auto content = read_file(path)) {
            wipe(text);
            text = std::move(*content);
        } else {
            file_error = content.error();
        }
    }
    if (text.empty()) {
        if (!file_error.empty()) return tl::unexpected("bootstrap: " + file_error);
        return tl::unexpected(std::string("neither ") + kFileVariable + " nor " + kTextVariable +
                              " is set: the launcher has not passed its environment on");
    }
    auto bootstrap = Bootstrap::from_text(text);
    wipe(text);
    wipe_scratch();
    if (bootstrap && bootstrap->rank >= 0)
        return tl::unexpected(std::string("bootstrap: it is a rank's, not a shim's"));
    return bootstrap;
}

}  // namespace rankexec::worker
