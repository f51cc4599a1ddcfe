// SPDX-License-Identifier: Apache-2.0
#include "rankexec/core/launch/command_template.hpp"

#include <optional>

#include "rankexec/core/launch/program_search.hpp"

namespace rankexec {
namespace {

constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kShellOnly = "|&;<>()$`";
constexpr std::string_view kEscapedInQuotes = "\"\\$`\n";

std::string needs_shell(char character) {
    return std::string("'") + character + "' needs a shell: quote it, or write  sh -c '... \"$@\"' sh {rank_program}";
}

/// Reads one command line; each function consumes what it names.
class Splitter {
public:
    explicit Splitter(std::string_view line) : rest_(line) {}

    tl::expected<std::vector<std::string>, std::string> words() {
        while (!rest_.empty() && !error_) step();
        if (error_) return tl::unexpected(*error_);
        finish_word();
        return std::move(words_);
    }

private:
    char take() {
        const char character = rest_.front();
        rest_.remove_prefix(1);
        return character;
    }

    void step() {
        const char character = take();
        if (kBlanks.find(character) != std::string_view::npos) {
            finish_word();
        } else if (character == '\'') {
            single_quoted();
        } else if (character == '"') {
            double_quoted();
        } else if (character == '\\') {
            escaped();
        } else if (kShellOnly.find(character) != std::string_view::npos) {
            error_ = needs_shell(character);
        } else {
            add(character);
        }
    }

    void single_quoted() {
        const auto end = rest_.find('\'');
        if (end == std::string_view::npos) {
            error_ = "a ' is not closed";
            return;
        }
        word_ = word_.value_or("").append(rest_.substr(0, end));
        rest_.remove_prefix(end + 1);
    }

    void double_quoted() {
        word_ = word_.value_or("");
        while (!rest_.empty()) {
            const char character = take();
            if (character == '"') return;
            if (character == '$' || character == '`') {
                error_ = needs_shell(character);
                return;
            }
            if (character == '\\' && !rest_.empty() && kEscapedInQuotes.find(rest_.front()) != std::string_view::npos) {
                escaped();
            } else {
                add(character);
            }
        }
        error_ = "a \" is not closed";
    }

    void escaped() {
        if (rest_.empty()) {
            error_ = "nothing follows the last backslash";
            return;
        }
        const char character = take();
        if (character != '\n') add(character);  // a backslash at a line's end joins the lines
    }

    void add(char character) { word_ = word_.value_or("") + character; }

    void finish_word() {
        if (word_) words_.push_back(std::move(*word_));
        word_.reset();
    }

    std::string_view rest_;
    std::optional<std::string> word_;
    std::vector<std::string> words_;
    std::optional<std::string> error_;
};

/// Replaces every occurrence; true when there was one.
bool replace_all(std::string& text, std::string_view from, std::string_view to) {
    bool found = false;
    for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
        found = true;
    }
    return found;
}

/// True for a word like "{name}": a shell's or awk's braces are seldom a whole word of small letters.
bool is_placeholder(std::string_view word) {
    if (word.size() < 3 || word.front() != '{' || word.back() != '}') return false;
    return word.substr(1, word.size() - 2).find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos;
}

}  // namespace

tl::expected<std::vector<std::string>, std::string> split_command(std::string_view line) {
    return Splitter(line).words();
}

tl::expected<std::vector<std::string>, std::string> expand_template(const std::vector<std::string>& words,
                                                                    int world_size,
                                                                    const std::vector<std::string>& hosts,
                                                                    const std::vector<std::string>& rank_program) {
    constexpr std::string_view kRankProgram = "{rank_program}";
    std::vector<std::string> expanded;
    int programs = 0;
    bool placed = hosts.empty();
    for (auto word : words) {
        if (word == kRankProgram) {
            ++programs;
            append(expanded, rank_program);
            continue;
        }
        if (word.find(kRankProgram) != std::string::npos) {
            return tl::unexpected("{rank_program} stands for several words and must be a word of its own, not \"" +
                                  word + "\"");
        }
        replace_all(word, "{n}", std::to_string(world_size));
        replace_all(word, "{world_size}", std::to_string(world_size));
        if (word.find("{hosts}") != std::string::npos && hosts.empty()) {
            return tl::unexpected(std::string("it has {hosts}, but no hosts are given"));
        }
        if (replace_all(word, "{hosts}", comma_separated(hosts))) placed = true;
        if (is_placeholder(word)) {
            return tl::unexpected(word + " is no placeholder; there are {n}, {world_size}, {hosts} and {rank_program}");
        }
        expanded.push_back(std::move(word));
    }
    if (programs != 1) {
        return tl::unexpected(std::string(programs == 0 ? "it lacks" : "it has more than one") +
                              " {rank_program}, which stands for what is to be started once per rank");
    }
    if (!placed) return tl::unexpected(std::string("hosts are given, but it has no {hosts} to put them"));
    return expanded;
}

}  // namespace rankexec
