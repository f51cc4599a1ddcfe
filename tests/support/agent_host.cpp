// SPDX-License-Identifier: Apache-2.0
//
// agent_host FORM FOLDER
//
// An executor's end of an agent's pipe that does what its standard input says, a line of JSON each: for tests of
// programs and commands that have an agent. FORM: files, credentials-file or credentials; FOLDER is made, and removed
// at the end. Its first line of output is the address for RANKEXEC_AGENT. Then, for each line of input, one of output:
//     {"do": "task", "name": "train", "input": "DIR"}   the result in DIR is the input; without DIR an empty one
//     {"do": "next"}                                    the next message that is no heartbeat
//     {"do": "save", "into": "DIR"}                     the same, and its tensors as .npy files
//     {"do": "abort" | "end", "reason": "..."}
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "rankexec/core/numpy/npy.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/ipc/exchange/agent_address.hpp"
#include "rankexec/ipc/pipe/file_pipe.hpp"
#include "rankexec/ipc/pipe/zeromq_pipe.hpp"
#include "rankexec/worker/agent/shell/json_value.hpp"
#include "rankexec/worker/agent/shell/task_files.hpp"

namespace {

using namespace rankexec;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::chrono::milliseconds kPatience{60'000};

class Host {
public:
    Host(const std::string& form, std::string folder) : folder_(std::move(folder)) {
        std::filesystem::create_directory(folder_);
        std::filesystem::permissions(folder_, std::filesystem::perms::owner_all);
        if (form == "files") {
            FilePipe::Options options;
            options.root = folder_ + "/pipe";
            pipe_ = std::make_unique<FilePipe>(options);
            address_ = "files:" + options.root;
        } else {
            ZeromqPipe::Options options;
            options.run_directory = folder_ + "/run";
            options.tcp = form == "credentials";
            if (options.tcp) options.advertise_address = "127.0.0.1";
            pipe_ = std::make_unique<ZeromqPipe>(options);
        }
        if (const auto opened = pipe_->open(kPatience); !opened) throw std::runtime_error(opened.error().message);
        if (form == "files") return;
        const auto credentials = dynamic_cast<ZeromqPipe&>(*pipe_).credentials();
        const auto file = folder_ + "/credentials";
        std::ofstream(file) << credentials;
        ::chmod(file.c_str(), 0600);
        address_ = form == "credentials" ? "credentials:" + credentials : "credentials-file:" + file;
    }
    ~Host() {
        pipe_->close();
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

    [[nodiscard]] const std::string& address() const { return address_; }

    ordered_json handle(const json& order) {
        const std::string what = order.at("do");
        if (what == "task") return give(order.at("name"), order.value("input", ""));
        if (what == "next") return next("");
        if (what == "save") return next(order.at("into"));
        if (what == "abort") return tell(PipeMessage::abort(order.value("reason", "")));
        if (what == "end") return tell(PipeMessage::end(order.value("reason", "")));
        return {{"error", "unknown order"}};
    }

private:
    ordered_json give(const std::string& name, const std::string& folder) {
        Shareable input;
        if (!folder.empty()) {
            auto read = agent::read_result(folder);
            if (!read) return {{"error", read.error()}};
            input = std::move(*read);
        }
        const auto task = PipeMessage::request(name, std::move(input));
        auto said = tell(task);
        said["id"] = task.id;
        return said;
    }

    ordered_json tell(const PipeMessage& message) {
        const auto sent = pipe_->send(message, kPatience);
        if (!sent) return {{"error", sent.error().message}};
        return {{"sent", message.topic}};
    }

    ordered_json next(const std::string& into) {
        while (true) {
            auto received = pipe_->receive(kPatience);
            if (!received) return {{"error", received.error().message}};
            if (!*received) return {{"error", "nothing has come"}};
            const auto& message = **received;
            if (!message.is_heartbeat()) return described(message, into);
        }
    }

    static ordered_json described(const PipeMessage& message, const std::string& into) {
        auto tensors = ordered_json::object();
        std::size_t number = 0;
        for (const auto& [name, tensor] : message.content.tensors) {
            const auto file = agent::tensor_file_name(name, number++);
            tensors[name] = {{"file", file}, {"dtype", to_string(tensor.dtype())}, {"shape", tensor.shape()}};
            if (into.empty()) continue;
            std::filesystem::create_directories(into);
            const UniqueFd fd(::open((into + "/" + file).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
            if (const auto written = numpy::write_npy(fd.get(), tensor); !written) return {{"error", written.error()}};
        }
        const auto& failure = message.content.failure;
        return {{"kind", message.kind == PipeMessage::Kind::reply ? "reply" : "request"},
                {"topic", message.topic},
                {"request_id", message.request_id},
                {"headers", agent::json_of(message.content.headers)},
                {"body", agent::json_of(message.content.body)},
                {"code", to_string(message.content.code)},
                {"message", failure ? failure->message : ""},
                {"tensors", tensors}};
    }

    const std::string folder_;
    std::unique_ptr<Pipe> pipe_;
    std::string address_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    try {
        Host host(argv[1], argv[2]);
        std::cout << host.address() << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            std::cout << host.handle(json::parse(line)).dump() << std::endl;
        }
    } catch (const std::exception& error) {
        std::cerr << "agent_host: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
