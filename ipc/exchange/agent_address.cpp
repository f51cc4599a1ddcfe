// SPDX-License-Identifier: Apache-2.0
#include "rankexec/ipc/exchange/agent_address.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "rankexec/core/component/configuration_error.hpp"
#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/model/wiping.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"

namespace rankexec::exchange {
namespace {

using Form = AgentAddress::Form;
using Kind = AgentAddressError::Kind;

constexpr std::array kForms{
    std::pair(Form::files, std::string_view("files:")),
    std::pair(Form::credentials_file, std::string_view("credentials-file:")),
    std::pair(Form::credentials, std::string_view("credentials:")),
};
constexpr std::size_t kLongestInMessage = 200;

tl::unexpected<AgentAddressError> error(Kind kind, std::string message) {
    return tl::unexpected(AgentAddressError{kind, "the executor's address: " + std::move(message)});
}

std::string_view prefix_of(Form form) {
    for (const auto& [known, prefix] : kForms) {
        if (known == form) return prefix;
    }
    return "";
}

tl::unexpected<AgentAddressError> unreadable(const std::string& path) {
    const auto reason = std::generic_category().message(errno);
    return error(Kind::unreadable, printable(path, kLongestInMessage) + ": " + reason +
                                       "; it is there only as long as the executor is, and on its host");
}

/// What is wrong with the file as a place for a secret; nothing: it is one.
std::string why_not_private(const struct stat& status) {
    if (!S_ISREG(status.st_mode)) return "is no regular file";
    if (status.st_uid != ::geteuid()) return "belongs to user " + std::to_string(status.st_uid);
    if ((status.st_mode & 077U) != 0) return "may be read or changed by other users; its mode must be 0600";
    return "";
}

tl::expected<std::string, AgentAddressError> read_credentials(const std::string& path) {
    // Without waiting for the writer of a FIFO.
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK));
    struct stat status {};
    if (!file.valid() || ::fstat(file.get(), &status) != 0) return unreadable(path);
    if (const auto why = why_not_private(status); !why.empty()) {
        return error(Kind::not_private, printable(path, kLongestInMessage) + " " + why);
    }
    std::string text(kAgentAddressBytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const auto count = ::read(file.get(), text.data() + size, text.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            const auto failed = unreadable(path);
            wipe(text);
            return failed;
        }
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    if (size == text.size()) {
        wipe(text);
        return error(Kind::bad_credentials, printable(path, kLongestInMessage) + " is too large for credentials");
    }
    text.resize(size);
    return text;
}

tl::expected<std::unique_ptr<Pipe>, AgentAddressError> zeromq_pipe(std::string credentials, const wire::Limits& limits,
                                                                   const std::string& where) {
    ZeromqPipe::Options options;
    options.mode = PipeMode::active;
    options.limits = limits;
    options.credentials = credentials;
    wipe(credentials);
    try {
        auto made = std::make_unique<ZeromqPipe>(options);
        wipe(options.credentials);
        return made;
    } catch (const ConfigurationError& refused) {
        wipe(options.credentials);
        return error(Kind::bad_credentials, where + ": " + refused.what());
    }
}

}  // namespace

AgentAddress::~AgentAddress() { wipe(value); }

AgentAddress& AgentAddress::operator=(const AgentAddress& other) {
    if (this != &other) *this = AgentAddress(other);
    return *this;
}

AgentAddress& AgentAddress::operator=(AgentAddress&& other) noexcept {
    form = other.form;
    std::swap(value, other.value);
    return *this;
}

tl::expected<AgentAddress, AgentAddressError> AgentAddress::parse(std::string_view text) {
    if (text.empty()) return error(Kind::empty, "there is none");
    if (text.size() > kAgentAddressBytes) return error(Kind::too_long, "it is longer than 64 KiB");
    for (const auto& [form, prefix] : kForms) {
        if (!text.starts_with(prefix)) continue;
        const auto value = text.substr(prefix.size());
        if (form == Form::credentials) {
            if (value.empty()) return error(Kind::bad_credentials, "there is nothing after \"credentials:\"");
        } else if (!value.starts_with('/') || value.find('\0') != std::string_view::npos) {
            return error(Kind::bad_path, "after \"" + std::string(prefix) + "\" comes \"" +
                                             printable(value, kLongestInMessage) + "\", which is no absolute path");
        }
        return AgentAddress(form, std::string(value));
    }
    // The text may be a secret that has lost its beginning, so it is not shown.
    return error(Kind::unknown_form,
                 "it begins with none of \"files:\", \"credentials-file:\" and \"credentials:\"; pass the variable "
                 "RANKEXEC_AGENT on to the program as it is");
}

std::string AgentAddress::to_text() const {
    const auto prefix = prefix_of(form);
    std::string text;
    text.reserve(prefix.size() + value.size());
    text += prefix;
    text += value;
    return text;
}

std::string AgentAddress::describe() const {
    if (form == Form::credentials) return "credentials:(not shown)";
    return std::string(prefix_of(form)) + printable(value, kLongestInMessage);
}

tl::expected<std::unique_ptr<Pipe>, AgentAddressError> open_agent_pipe(const AgentAddress& address,
                                                                       const wire::Limits& limits) {
    if (address.form == Form::credentials) return zeromq_pipe(address.value, limits, "credentials");
    if (address.form == Form::credentials_file) {
        auto credentials = read_credentials(address.value);
        if (!credentials) return tl::unexpected(std::move(credentials.error()));
        return zeromq_pipe(std::move(*credentials), limits, printable(address.value, kLongestInMessage));
    }
    FilePipe::Options options;
    options.root = address.value;
    options.mode = PipeMode::active;
    options.limits = limits;
    try {
        return std::make_unique<FilePipe>(std::move(options));
    } catch (const ConfigurationError& refused) {
        return error(Kind::bad_path, refused.what());
    }
}

}  // namespace rankexec::exchange
