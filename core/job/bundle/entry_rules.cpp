// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/bundle/entry_rules.hpp"

#include <algorithm>
#include <functional>

namespace rankexec::job {
namespace {

constexpr std::size_t kLongestPath = 1'000;
constexpr std::size_t kLongestName = 255;
constexpr std::ptrdiff_t kDeepest = 64;

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; });
}

/// Calls `use` with each name between slashes, the empty ones too, until it returns false.
void for_each_name(std::string_view path, const std::function<bool(std::string_view)>& use) {
    while (true) {
        const auto slash = path.find('/');
        if (!use(path.substr(0, slash)) || slash == std::string_view::npos) return;
        path.remove_prefix(slash + 1);
    }
}

std::ptrdiff_t folders_above(std::string_view path) { return std::count(path.begin(), path.end(), '/'); }

}  // namespace

std::string_view trimmed(std::string_view path) {
    while (path.starts_with("./")) path.remove_prefix(2);
    if (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
    return path == "." ? std::string_view() : path;
}

std::string path_error(std::string_view path) {
    if (path.empty()) return "the path is empty";
    if (path.front() == '/') return "the path is absolute";
    if (path.size() > kLongestPath) return "the path is too long";
    if (folders_above(path) >= kDeepest) return "the path is too deep";
    if (has_control(path)) return "the path has control characters";
    std::string error;
    for_each_name(path, [&](std::string_view name) {
        if (name.empty()) error = "the path has an empty name";
        if (name == "." || name == "..") error = "the path has \".\" or \"..\"";
        if (name.size() > kLongestName) error = "the path has a name that is too long";
        return error.empty();
    });
    return error;
}

std::string target_error(std::string_view path, std::string_view target) {
    if (target.empty()) return "the link leads nowhere";
    if (target.front() == '/') return "the link leads out of the folder";
    if (target.size() > kLongestPath) return "the link's target is too long";
    if (has_control(target)) return "the link's target has control characters";
    auto upwards_left = folders_above(path);
    bool downwards = false;
    std::string error;
    for_each_name(target, [&](std::string_view name) {
        if (name == "..") {
            if (downwards) error = "the link's target has \"..\" behind a name";
            if (--upwards_left < 0) error = "the link leads out of the folder";
        } else if (!name.empty() && name != ".") {
            downwards = true;
        }
        return error.empty();
    });
    return error;
}

std::string EntryTree::add(std::string_view path, EntryKind kind) {
    for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
        const auto [above, made] = nodes_.emplace(std::string(path.substr(0, slash)), Node::implied_folder);
        if (above->second == Node::file || above->second == Node::link) return "it is below a file or link";
    }
    const auto node = kind == EntryKind::folder ? Node::folder : kind == EntryKind::file ? Node::file : Node::link;
    const auto [entry, made] = nodes_.emplace(std::string(path), node);
    const bool named_later = entry->second == Node::implied_folder && node == Node::folder;
    if (!made && !named_later) return "it is there twice";
    entry->second = node;
    if (size() > most_) return "there are more than " + std::to_string(most_) + " entries";
    return {};
}

bool EntryTree::has_file(std::string_view path) const {
    const auto found = nodes_.find(path);
    return found != nodes_.end() && found->second == Node::file;
}

}  // namespace rankexec::job
