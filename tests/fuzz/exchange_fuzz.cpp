// SPDX-License-Identifier: Apache-2.0
// Fuzz target of what an exchange receives: an input is a pipe's message file. Whatever message it holds means
// something (ipc/exchange/PROTOCOL.md) or is said to be malformed, and what it means survives another round trip. As
// text it may be an agent's name, or an address.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/exchange/exchange_endpoint.hpp"
#include "rankexec/ipc/exchange/exchange_messages.hpp"
#include "rankexec/ipc/pipe/message_file.hpp"

namespace {

using namespace rankexec;

/// Not assert(), which a release build leaves out.
void require(bool holds) {
    if (!holds) std::abort();
}

void check_message(const PipeMessage& message) {
    const auto meant = exchange::from_pipe(message);
    if (!meant) return require(!meant.error().empty());
    const auto sent = exchange::to_pipe(*meant, message.request_id);
    require(sent.kind == message.kind && sent.topic == message.topic);
    const auto again = exchange::from_pipe(sent);
    // Words for people may be shortened on the way.
    require(again.has_value() && again->index() == meant->index());
    const auto* const task = std::get_if<exchange::GiveTask>(&*meant);
    require(task == nullptr || *task == std::get<exchange::GiveTask>(*again));
    const auto* const result = std::get_if<exchange::GiveResult>(&*meant);
    require(result == nullptr || *result == std::get<exchange::GiveResult>(*again));
}

void check_text(std::string_view text) {
    if (const auto name = exchange::AgentName::parse(text)) {
        require(exchange::AgentName::parse(name->to_text()).value() == *name);
        require(exchange::meeting_folder(*name, "/tmp").has_value());
    }
    if (const auto tcp = exchange::TcpAddress::parse(text)) require(!tcp->given() || tcp->port <= 65534);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check_text({reinterpret_cast<const char*>(data), size});
    const wire::Limits limits{.body_bytes = std::size_t{64} << 10U, .message_bytes = std::size_t{1} << 20U};
    const UniqueFd file(::memfd_create("exchange_fuzz", MFD_CLOEXEC));
    require(::write(file.get(), data, size) == static_cast<ssize_t>(size));
    require(::lseek(file.get(), 0, SEEK_SET) == 0);
    const auto frames = pipe::read_message_file(file.get(), limits);
    if (!frames) return 0;
    const auto envelope = pipe::decode_envelope(*frames);
    if (!envelope || envelope->type != pipe::FrameType::message) return 0;
    if (const auto message = pipe::decode_message(*envelope, *frames, limits)) check_message(*message);
    return 0;
}
