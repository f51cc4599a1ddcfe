// SPDX-License-Identifier: Apache-2.0
#include "forms.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"
#include "rankexec/ipc/transport/bootstrap.hpp"

namespace rankexec::test {

std::vector<Form> all_forms() { return {Form::file, Form::file_without_events, Form::zeromq_ipc, Form::zeromq_tcp}; }

std::string form_name(const ::testing::TestParamInfo<Form>& info) { return name_of(info.param); }
void PrintTo(Form form, std::ostream* out) { *out << name_of(form); }

std::string name_of(Form form) {
    switch (form) {
        case Form::file: return "file";
        case Form::file_without_events: return "file_without_events";
        case Form::zeromq_ipc: return "zeromq_ipc";
        case Form::zeromq_tcp: return "zeromq_tcp";
    }
    return "";
}

bool is_file(Form form) { return form == Form::file || form == Form::file_without_events; }

TemporaryFolder::TemporaryFolder() {
    path_ = (std::filesystem::temp_directory_path() / "pipe-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<Pipe> Ends::make(PipeMode mode, OnPipeStep on_step) const {
    if (!is_file(form_)) {
        ZeromqPipe::Options options;
        options.mode = mode;
        options.limits = limits_;
        options.on_step = std::move(on_step);
        if (mode == PipeMode::active) {
            options.credentials = credentials();
        } else {
            options.run_directory = folder_.path() + "/run";
            options.tcp = form_ == Form::zeromq_tcp;
            if (options.tcp) options.advertise_address = "127.0.0.1";
        }
        return std::make_unique<ZeromqPipe>(std::move(options));
    }
    FilePipe::Options options;
    options.root = root();
    options.mode = mode;
    options.limits = limits_;
    options.events = form_ == Form::file;
    options.on_step = std::move(on_step);
    auto pipe = std::make_unique<FilePipe>(std::move(options));
    if (form_ == Form::file_without_events) pipe->look_every(std::chrono::milliseconds(5));
    return pipe;
}

std::unique_ptr<Pipe> Ends::another_active(OnPipeStep on_step) const {
    return make(PipeMode::active, std::move(on_step));
}

void Ends::open_passive(OnPipeStep on_step) {
    passive = make(PipeMode::passive, std::move(on_step));
    const auto opened = passive->open(kLong);
    ASSERT_TRUE(opened) << opened.error().message;
}

void Ends::open_active(OnPipeStep on_step) {
    active = another_active(std::move(on_step));
    const auto opened = active->open(kLong);
    ASSERT_TRUE(opened) << opened.error().message;
}

std::vector<std::string> Ends::peer_arguments(PipeMode mode) const {
    const std::string end = mode == PipeMode::active ? "active" : "passive";
    if (is_file(form_)) return {name_of(form_), end, root()};
    const auto file = folder_.path() + "/credentials";
    std::ofstream(file) << credentials();
    return {name_of(form_), end, file};
}

std::string Ends::credentials() const {
    const auto text = dynamic_cast<const ZeromqPipe&>(*passive).credentials();
    if (form_ != Form::zeromq_tcp) return text;
    auto elsewhere = Bootstrap::from_text(text).value();
    elsewhere.host_identity = "another host";  // so tcp it is
    return elsewhere.to_text();
}

PipeMessage numbered(int number) {
    Shareable content;
    content.body = number;
    return PipeMessage::request("count", std::move(content));
}

int number_of(const PipeMessage& message) { return static_cast<int>(message.content.body.integer_or(-1)); }

PipeMessage received_by(Pipe& pipe) {
    auto received = pipe.receive(kLong);
    EXPECT_TRUE(received) << received.error().message;
    EXPECT_TRUE(received && *received) << "nothing has come";
    return received && *received ? std::move(**received) : PipeMessage{};
}

bool receives_nothing(Pipe& pipe) {
    const auto received = pipe.receive(kShort);
    return received && !*received;
}

std::string kind_of(const PipeError& error) {
    switch (error.kind) {
        case PipeError::Kind::not_taken: return "not_taken";
        case PipeError::Kind::not_sent: return "not_sent";
        case PipeError::Kind::cancelled: return "cancelled";
        case PipeError::Kind::bad_message: return "bad_message";
        case PipeError::Kind::broken: return "broken";
        case PipeError::Kind::closed: return "closed";
    }
    return "unknown";
}
std::string kind_of(const Pipe::Result& result) { return result ? "" : kind_of(result.error()); }
std::string kind_of(const Pipe::Received& received) { return received ? "" : kind_of(received.error()); }

}  // namespace rankexec::test
