// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/job/backend/log_reader.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <utility>

#include "rankexec/core/system/local_file_system.hpp"

namespace rankexec::job {
namespace {

/// Between two looks at what cannot be watched: a log that a compute node writes over a network file system.
constexpr std::chrono::milliseconds kUnwatched{500};

Bytes piece_of(const std::filesystem::path& path, std::int64_t offset, std::int64_t most) {
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    if (!file) return {};
    const auto size = static_cast<std::int64_t>(file.tellg());
    const auto from = std::clamp<std::int64_t>(offset < 0 ? size + offset : offset, 0, size);
    Bytes piece(static_cast<std::size_t>(std::clamp<std::int64_t>(most, 0, size - from)));
    file.seekg(from);
    file.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    if (!file) piece.resize(static_cast<std::size_t>(file.gcount()));
    return piece;
}

}  // namespace

void LogReader::ask(Question question) {
    const auto patience = question.patience;
    waiting_.push_back({std::move(question)});
    const auto entry = std::prev(waiting_.end());
    entry->over = patience.count() <= 0;
    if (!entry->over) {
        entry->timer = loop_.call_after(patience, [this, entry] {
            entry->over = true;
            look();
        });
    }
    look();
}

/// The end is looked up before the file, so that nothing that was written before it is missed.
bool LogReader::answered(const Waiting& waiting) {
    const auto& question = waiting.question;
    const bool ended = question.ended();
    auto piece = piece_of(question.file, question.offset, question.most);
    if (piece.empty() && !ended && !waiting.over) return false;
    question.answer(std::move(piece), ended);
    return true;
}

void LogReader::look() {
    // First the watch, then the look: a change between the two is seen.
    watch();
    for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
        if (!answered(*waiting)) {
            ++waiting;
            continue;
        }
        if (waiting->timer != 0) loop_.cancel(waiting->timer);
        waiting = waiting_.erase(waiting);
    }
    if (!waiting_.empty()) return;
    if (changes_.valid()) loop_.unwatch(changes_.get());
    changes_.reset();
    loop_.cancel(std::exchange(pause_, 0));
}

void LogReader::look_again() {
    std::array<char, 4096> events;
    while (::read(changes_.get(), events.data(), events.size()) > 0) {
    }
    look();
}

/// All folders of what is waited for. One that is not there yet is seen to come in the one above it.
void LogReader::watch() {
    const bool any = std::ranges::any_of(waiting_, [](const auto& waiting) { return !waiting.over; });
    if (!any) return;
    if (!changes_.valid()) {
        changes_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (changes_.valid()) loop_.watch(changes_.get(), EPOLLIN, [this](std::uint32_t) { look_again(); });
    }
    const bool all = std::ranges::all_of(waiting_, [this](const auto& one) { return watches(one.question.file); });
    if (all || pause_ != 0) return;
    pause_ = loop_.call_after(kUnwatched, [this] {
        pause_ = 0;
        look();
    });
}

bool LogReader::watches(const std::filesystem::path& file) const {
    if (file.empty()) return true;
    constexpr std::uint32_t kChanges = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
    for (const auto& folder : {file.parent_path(), file.parent_path().parent_path()}) {
        const UniqueFd opened(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!opened.valid()) continue;
        return ::inotify_add_watch(changes_.get(), folder.c_str(), kChanges) >= 0 && on_local_file_system(opened.get());
    }
    return false;
}

void LogReader::close() {
    for (auto& waiting : waiting_) waiting.over = true;
    look();
}

}  // namespace rankexec::job
