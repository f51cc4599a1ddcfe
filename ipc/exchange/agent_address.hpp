// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/export.hpp"
#include "rankexec/ipc/pipe/pipe.hpp"

/// What an executor and the program outside that works for it have in common, above the pipe between them.
namespace rankexec::exchange {

/// Tells a launched program where its executor's pipe is: an AgentAddress as text.
inline constexpr const char* kAgentVariable = "RANKEXEC_AGENT";
inline constexpr std::size_t kAgentAddressBytes = std::size_t{64} << 10U;  ///< the longest text, and the largest file

/// Why an address is none, or leads to no pipe.
struct AgentAddressError {
    enum class Kind : std::uint8_t {
        empty,            ///< there is no text
        too_long,         ///< more than kAgentAddressBytes
        unknown_form,     ///< begins with none of the three forms
        bad_path,         ///< not absolute, or with a NUL in it
        unreadable,       ///< the credentials' file cannot be read
        not_private,      ///< the credentials' file belongs to another user, or others may read or change it
        bad_credentials,  ///< they are none of a pipe
        no_pipe,          ///< the pipe cannot be used from here; the executor is gone, or on a host out of reach
    };
    Kind kind = Kind::empty;
    std::string message;  ///< what, where, what to do; never a secret
};

/// Where the executor's end of a pipe is. As text, one of
///     files:/absolute/root              a FilePipe below that folder
///     credentials-file:/absolute/path   a ZeromqPipe; the file, of mode 0600, holds its credentials
///     credentials:TEXT                  a ZeromqPipe; the credentials themselves, for programs on other hosts
/// The first two are no secrets. A value type; every copy of the credentials is overwritten before it is freed.
struct RANKEXEC_EXPORT AgentAddress {
    enum class Form : std::uint8_t { files, credentials_file, credentials };

    Form form = Form::files;
    std::string value;  ///< what comes after the form and its colon

    AgentAddress() = default;
    AgentAddress(Form form_of_it, std::string value_of_it) : form(form_of_it), value(std::move(value_of_it)) {}
    ~AgentAddress();
    AgentAddress(const AgentAddress&) = default;
    AgentAddress(AgentAddress&&) = default;
    AgentAddress& operator=(const AgentAddress& other);
    AgentAddress& operator=(AgentAddress&& other) noexcept;

    /// Total: any text is an address, or an error. Opens nothing. Any thread.
    [[nodiscard]] static tl::expected<AgentAddress, AgentAddressError> parse(std::string_view text);
    /// What parse() reads. The caller wipes it where the form is `credentials`.
    [[nodiscard]] std::string to_text() const;
    /// For messages to people: without the secret.
    [[nodiscard]] std::string describe() const;

    friend bool operator==(const AgentAddress&, const AgentAddress&) = default;
};

/// The program's end of the pipe, active and not opened yet: open() connects. Reads the credentials' file, which must
/// be a regular file of this user that nobody else may read. Any thread.
[[nodiscard]] RANKEXEC_EXPORT tl::expected<std::unique_ptr<Pipe>, AgentAddressError> open_agent_pipe(
    const AgentAddress& address, const wire::Limits& limits = {});

}  // namespace rankexec::exchange
