// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "rankexec/core/model/shareable.hpp"
#include "rankexec/worker/agent/agent.hpp"

/// Tasks and results as files, for programs in any language: a folder with task.json or result.json, and a .npy file
/// for each tensor. docs/agent.md describes both. All functions may be called from any thread, on a folder of their
/// own; the error says what is wrong, with the file.
namespace rankexec::agent {

/// The name of a tensor's file: whatever the tensor is called, it is no path and no hidden file, and no other tensor
/// of a task has it. `number`: of the tensor within its task, for names that are too long.
[[nodiscard]] std::string tensor_file_name(std::string_view tensor, std::size_t number);
/// The tensor's name of such a file; nothing when it cannot be told from the file's.
[[nodiscard]] std::optional<std::string> tensor_of_file(std::string_view file_name);

/// Writes a task into a folder, which is made if it is not there, and otherwise must be empty or hold an earlier task,
/// whose files are removed. task.json comes last. Returns its text.
[[nodiscard]] tl::expected<std::string, std::string> write_task(const std::filesystem::path& folder, const Task& task);

/// Reads the result in a folder: result.json, if it is there, and the tensors that it names, else every .npy file.
/// Nothing at all is an error. Files larger than a message may be are not read.
[[nodiscard]] tl::expected<Shareable, std::string> read_result(const std::filesystem::path& folder);

}  // namespace rankexec::agent
