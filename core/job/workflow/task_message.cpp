// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/workflow/task_message.hpp"

namespace rankexec::job {

Shareable TaskMessage::pack() const {
    Shareable content = input;
    content.code = ReturnCode::ok;
    content.failure.reset();
    content.headers = {{"task", task},
                       {"id", id},
                       {"number", number},
                       {"covered", covered},
                       {"incarnation", stamp.first},
                       {"stamp", stamp.second},
                       {"open", Value::Array(open.begin(), open.end())},
                       {"headers", input.headers}};
    return content;
}

tl::expected<TaskMessage, std::string> TaskMessage::unpack(Shareable content) {
    TaskMessage message;
    const auto* headers = content.header("headers");
    const auto* open = content.header("open");
    const auto text = [&](const char* name) {
        const auto* value = content.header(name);
        return value == nullptr ? std::string() : value->text_or("");
    };
    const auto number = [&](const char* name) {
        const auto* value = content.header(name);
        return value == nullptr ? std::int64_t{-1} : value->integer_or(-1);
    };
    message.task = text("task");
    message.id = text("id");
    message.stamp = {number("incarnation"), number("stamp")};
    message.number = number("number");
    message.covered = number("covered");
    if (message.task.empty()) return tl::unexpected(std::string("the task has no name"));
    if (message.id.empty()) return tl::unexpected(std::string("the task has no id"));
    if (message.number < 0 || message.covered < 0) return tl::unexpected(std::string("the task has no number"));
    if (message.stamp.first < 0 || message.stamp.second < 0) {
        return tl::unexpected(std::string("the task has no stamp"));
    }
    if (headers == nullptr || headers->if_map() == nullptr) {
        return tl::unexpected(std::string("the task has no headers"));
    }
    if (open == nullptr || open->if_array() == nullptr) {
        return tl::unexpected(std::string("the task does not say what is open"));
    }
    for (const auto& id : *open->if_array()) message.open.push_back(id.text_or(""));
    auto own = *headers->if_map();
    message.input = std::move(content);
    message.input.headers = std::move(own);
    return message;
}

}  // namespace rankexec::job
