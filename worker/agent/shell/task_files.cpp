// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/agent/shell/task_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <new>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "rankexec/core/model/printable.hpp"
#include "rankexec/core/numpy/npy.hpp"
#include "rankexec/core/system/unique_fd.hpp"
#include "rankexec/worker/agent/shell/json_value.hpp"

namespace rankexec::agent {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kTaskFile = "task.json";
constexpr const char* kResultFile = "result.json";
constexpr std::string_view kSuffix = ".npy";
constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
/// File systems take 255 bytes, some of them less.
constexpr std::size_t kLongestName = 120;
constexpr std::size_t kShown = 100;

tl::unexpected<std::string> error(const fs::path& path, const std::string& what) {
    return tl::unexpected(printable(path.string(), 1'000) + ": " + what);
}
tl::unexpected<std::string> system_error(const fs::path& path, int number) {
    return error(path, std::generic_category().message(number));
}

// ---- tasks ------------------------------------------------------------------------------------

std::string percent(char character) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(character);
    return {'%', kDigits[byte >> 4U], kDigits[byte & 15U]};
}

/// What an earlier task has left, and the result to it.
bool is_ours(const fs::path& name) { return name == kTaskFile || name == kResultFile || name.extension() == kSuffix; }

/// Nobody's files but those of an earlier task are removed.
tl::expected<void, std::string> make_empty(const fs::path& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed) return error(folder, failed.message());
    std::vector<fs::path> names;
    for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
        names.push_back(entry->path().filename());
    }
    if (failed) return error(folder, failed.message());
    const bool earlier_task = fs::is_regular_file(fs::symlink_status(folder / kTaskFile, failed));
    if (!names.empty() && !earlier_task) {
        return error(folder, "is not empty, and holds no earlier task; name a new folder");
    }
    // task.json goes last: should this be interrupted, the folder still says what it is.
    for (const auto& name : names) {
        if (is_ours(name) && name != kTaskFile && ::unlink((folder / name).c_str()) != 0 && errno != ENOENT) {
            return system_error(folder / name, errno);
        }
    }
    if (earlier_task && ::unlink((folder / kTaskFile).c_str()) != 0) return system_error(folder / kTaskFile, errno);
    return {};
}

template <typename Write>
tl::expected<void, std::string> write_new(const fs::path& path, const Write& write) {
    UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file.valid()) return system_error(path, errno);
    if (const tl::expected<void, std::string> written = write(file.get()); !written) {
        return error(path, written.error());
    }
    if (::close(file.release()) != 0) return system_error(path, errno);
    return {};
}

tl::expected<void, std::string> write_text(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto size = ::write(fd, text.data(), text.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return tl::unexpected(std::generic_category().message(errno));
        text.remove_prefix(static_cast<std::size_t>(size));
    }
    return {};
}

ordered_json or_null(const std::optional<int>& number) {
    return number ? ordered_json(*number) : ordered_json(nullptr);
}

// ---- results ----------------------------------------------------------------------------------

tl::expected<std::string, std::string> read_text(const fs::path& path, std::size_t most) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status {};
    if (!file.valid() || ::fstat(file.get(), &status) != 0) return system_error(path, errno);
    if (!S_ISREG(status.st_mode)) return error(path, "is no regular file");
    if (static_cast<std::uint64_t>(status.st_size) > most) {
        return error(path, "is larger than " + std::to_string(most) + " bytes; put numbers into tensors (.npy files)");
    }
    std::string text(static_cast<std::size_t>(status.st_size), '\0');
    std::size_t filled = 0;
    while (filled < text.size()) {
        const auto size = ::read(file.get(), text.data() + filled, text.size() - filled);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return system_error(path, errno);
        if (size == 0) break;
        filled += static_cast<std::size_t>(size);
    }
    text.resize(filled);
    return text;
}

std::optional<ReturnCode> code_named(const Value& value) {
    for (std::int64_t number = 0;; ++number) {
        const auto code = return_code_from(number);
        if (!code) return std::nullopt;
        if (value.text_or("") == to_string(*code)) return code;
    }
}

/// Where each tensor is.
using TensorFiles = std::vector<std::pair<std::string, std::string>>;

class ResultReader {
public:
    explicit ResultReader(fs::path folder) : folder_(std::move(folder)), json_(folder_ / kResultFile) {}

    tl::expected<Shareable, std::string> read() {
        const bool described = ::access(json_.c_str(), F_OK) == 0 || errno != ENOENT;
        if (described) {
            if (auto done = read_description(); !done) return tl::unexpected(done.error());
        }
        if (!named_) {
            if (auto done = find_files(); !done) return tl::unexpected(done.error());
        }
        if (!described && files_.empty()) {
            return error(folder_, std::string("holds no result: neither ") + kResultFile + " nor a .npy file");
        }
        for (const auto& [name, file] : files_) {
            if (auto done = read_tensor(name, file); !done) return tl::unexpected(done.error());
        }
        return std::move(result_);
    }

private:
    tl::expected<void, std::string> read_description() {
        const auto text = read_text(json_, limits_.body_bytes);
        if (!text) return tl::unexpected(text.error());
        auto parsed = parse_json(*text);
        if (!parsed) return error(json_, parsed.error());
        const auto* map = parsed->if_map();
        if (map == nullptr) return error(json_, R"(is no JSON object, as {"headers": {...}, "body": ...} is)");
        std::string message;
        for (const auto& [key, value] : *map) {
            if (key == "headers") {
                if (value.if_map() == nullptr) return error(json_, "\"headers\" is no object");
                result_.headers = *value.if_map();
            } else if (key == "body") {
                result_.body = value;
            } else if (key == "code") {
                const auto code = code_named(value);
                if (!code) return error(json_, R"("code" is no outcome, as "ok" and "execution_exception" are)");
                result_.code = *code;
            } else if (key == "message") {
                if (value.if_text() == nullptr) return error(json_, "\"message\" is no text");
                message = *value.if_text();
            } else if (key == "tensors") {
                if (auto done = read_names(value); !done) return done;
            } else {
                return error(json_, "the key \"" + printable(key, kShown) +
                                        "\" is unknown; there are headers, body, tensors, code, message");
            }
        }
        if (!result_.ok()) {
            result_.failure = Failure{};
            result_.failure->code = result_.code;
            result_.failure->message = message.empty() ? "the program says so" : message;
        } else if (!message.empty()) {
            return error(json_, "there is a \"message\", but \"code\" says that all is well");
        }
        return {};
    }

    tl::expected<void, std::string> read_names(const Value& value) {
        const auto* tensors = value.if_map();
        if (tensors == nullptr) return error(json_, "\"tensors\" is no object");
        named_ = true;
        for (const auto& [name, entry] : *tensors) {
            const auto* file = entry.find("file");
            const auto text = file == nullptr ? entry.text_or("") : file->text_or("");
            if (text.empty() || text == "." || text == ".." || text.find('/') != std::string::npos ||
                text.find('\0') != std::string::npos) {
                return error(json_, "the tensor \"" + printable(name, kShown) +
                                        "\" has no \"file\" that is a file's name in this folder");
            }
            files_.emplace_back(name, text);
        }
        return {};
    }

    tl::expected<void, std::string> find_files() {
        std::error_code failed;
        for (fs::directory_iterator entry(folder_, failed), end; !failed && entry != end; entry.increment(failed)) {
            const auto name = entry->path().filename().string();
            if (!name.ends_with(kSuffix) || name.starts_with('.')) continue;
            auto tensor = tensor_of_file(name);
            if (!tensor) {
                return error(entry->path(), std::string("is the file of a tensor whose name is not that of the file; "
                                                        "say which under \"tensors\" in ") +
                                                kResultFile);
            }
            files_.emplace_back(std::move(*tensor), name);
        }
        if (failed) return error(folder_, failed.message());
        return {};
    }

    tl::expected<void, std::string> read_tensor(const std::string& name, const std::string& file) {
        const auto path = folder_ / file;
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (!fd.valid()) return system_error(path, errno);
        auto tensor = numpy::read_npy(fd.get(), limits_.message_bytes - taken_);
        if (!tensor) return error(path, tensor.error());
        taken_ += tensor->bytes().size();
        if (!result_.tensors.emplace(name, std::move(*tensor)).second) {
            return error(path, "the tensor \"" + printable(name, kShown) + "\" is in two files");
        }
        return {};
    }

    const fs::path folder_;
    const fs::path json_;
    const wire::Limits limits_;
    Shareable result_;
    bool named_ = false;
    TensorFiles files_;
    std::size_t taken_ = 0;
};

}  // namespace

std::string tensor_file_name(std::string_view tensor, std::size_t number) {
    std::string name;
    for (const char character : tensor) {
        const bool leading = name.empty() && (character == '.' || character == '-');
        const bool plain = kPlain.find(character) != std::string_view::npos && !leading;
        name += plain ? std::string(1, character) : percent(character);
        // '~' is never plain, so this is no other tensor's name.
        if (name.size() > kLongestName) return name.substr(0, kLongestName / 2) + "~" + std::to_string(number) + ".npy";
    }
    // A name of nothing but the suffix would be a hidden file.
    return (name.empty() ? "%" : name) + std::string(kSuffix);
}

std::optional<std::string> tensor_of_file(std::string_view file_name) {
    if (!file_name.ends_with(kSuffix)) return std::nullopt;
    auto rest = file_name.substr(0, file_name.size() - kSuffix.size());
    if (rest == "%") return std::string();
    std::string name;
    for (; !rest.empty(); rest.remove_prefix(1)) {
        if (rest.front() == '~') return std::nullopt;
        if (rest.front() != '%') {
            name += rest.front();
            continue;
        }
        unsigned byte = 0;
        if (rest.size() < 3) return std::nullopt;
        const auto parsed = std::from_chars(rest.data() + 1, rest.data() + 3, byte, 16);
        if (parsed.ptr != rest.data() + 3) return std::nullopt;
        name += static_cast<char>(byte);
        rest.remove_prefix(2);
    }
    return name;
}

tl::expected<std::string, std::string> write_task(const fs::path& folder, const Task& task) {
    if (auto empty = make_empty(folder); !empty) return tl::unexpected(empty.error());
    auto tensors = ordered_json::object();
    std::size_t number = 0;
    for (const auto& [name, tensor] : task.input.tensors) {
        const auto file = tensor_file_name(name, number++);
        const auto* elements = &tensor;  // Clang before 16 captures no structured binding
        const auto written = write_new(folder / file, [&](int fd) { return numpy::write_npy(fd, *elements); });
        if (!written) return tl::unexpected(written.error());
        tensors[name] = {{"file", file}, {"dtype", to_string(tensor.dtype())}, {"shape", tensor.shape()}};
    }
    const ordered_json object{{"name", task.name},
                              {"id", task.id},
                              {"round", or_null(task.round)},
                              {"rounds", or_null(task.rounds)},
                              {"headers", json_of(task.input.headers)},
                              {"body", json_of(task.input.body)},
                              {"tensors", std::move(tensors)}};
    const auto text = object.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
    const auto written = write_new(folder / kTaskFile, [&](int fd) { return write_text(fd, text); });
    if (!written) return tl::unexpected(written.error());
    return text;
}

tl::expected<Shareable, std::string> read_result(const fs::path& folder) {
    try {
        return ResultReader(folder).read();
    } catch (const std::bad_alloc&) {
        return error(folder, "no memory left for the result");
    }
}

}  // namespace rankexec::agent
