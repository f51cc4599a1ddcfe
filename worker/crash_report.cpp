// SPDX-License-Identifier: Apache-2.0
// Everything that on_crash calls is safe in a signal handler: system calls, and static memory.
#include "rankexec/worker/crash_report.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "rankexec/core/system/crash_marks.hpp"
#include "rankexec/worker/stack_dump.hpp"

namespace rankexec::worker {
namespace {

struct Crash {
    int signal;
    std::string_view name;
};
constexpr std::array kCrashes{Crash{SIGSEGV, "SIGSEGV"}, Crash{SIGBUS, "SIGBUS"}, Crash{SIGFPE, "SIGFPE"},
                              Crash{SIGILL, "SIGILL"}, Crash{SIGABRT, "SIGABRT"}};

constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
/// More would push the program's own last words out of what is kept.
constexpr std::size_t kFrames = 32;
constexpr std::size_t kNameBytes = 128;

alignas(16) std::array<std::byte, kStackBytes> crash_stack;
std::atomic<int> crashing_thread{0};
std::atomic<int> reporting_process{0};
StackDump dump;

struct Module {
    char name[kNameBytes];
    std::uintptr_t begin;
};
std::array<Module, kFrames> modules;

/// Text in static memory that goes out in one write, so that nobody's lines get between.
class Page {
public:
    void add(std::string_view text) {
        const auto room = bytes_.size() - size_;
        const auto length = text.size() < room ? text.size() : room;
        std::memcpy(bytes_.data() + size_, text.data(), length);
        size_ += length;
    }
    void add_number(std::uintptr_t number, unsigned base) {
        char digits[32];
        std::size_t count = 0;
        do {
            digits[count++] = "0123456789abcdef"[number % base];
            number /= base;
        } while (number != 0);
        while (count > 0) add({&digits[--count], 1});
    }
    void write() const {
        for (std::size_t done = 0; done < size_;) {
            const auto size = ::write(STDERR_FILENO, bytes_.data() + done, size_ - done);
            if (size < 0 && errno == EINTR) continue;
            if (size <= 0) return;
            done += static_cast<std::size_t>(size);
        }
    }

private:
    std::array<char, 8192> bytes_{};
    std::size_t size_ = 0;
};
Page page;

/// Lines of /proc/self/maps, one after the other, cut to the buffer.
class Maps {
public:
    Maps() : file_(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC)) {}
    ~Maps() {
        if (file_ >= 0) ::close(file_);
    }
    Maps(const Maps&) = delete;
    Maps& operator=(const Maps&) = delete;

    bool next(std::string_view& line) {
        std::size_t length = 0;
        for (;;) {
            if (next_ == filled_ && !fill()) return false;
            const char byte = buffer_[next_++];
            if (byte == '\n') break;
            if (length < sizeof line_) line_[length++] = byte;
        }
        line = {line_, length};
        return true;
    }

private:
    bool fill() {
        next_ = 0;
        const auto size = file_ < 0 ? 0 : ::read(file_, buffer_, sizeof buffer_);
        filled_ = size > 0 ? static_cast<std::size_t>(size) : 0;
        return size > 0;
    }

    int file_;
    std::size_t next_ = 0;
    std::size_t filled_ = 0;
    char buffer_[4096];
    char line_[512];
};

std::uintptr_t take_hexadecimal(std::string_view& text) {
    std::uintptr_t number = 0;
    while (!text.empty()) {
        const char digit = text.front();
        const bool decimal = digit >= '0' && digit <= '9';
        if (!decimal && (digit < 'a' || digit > 'f')) break;
        number = number * 16 + static_cast<std::uintptr_t>(decimal ? digit - '0' : digit - 'a' + 10);
        text.remove_prefix(1);
    }
    return number;
}

/// Which module each frame lies in. A module's mappings follow one another; the first is its beginning.
void find_modules(std::size_t frames) {
    Maps maps;
    char current[kNameBytes] = {};
    std::uintptr_t current_begin = 0;
    for (std::string_view line; maps.next(line);) {
        const auto begin = take_hexadecimal(line);
        if (!line.empty()) line.remove_prefix(1);
        const auto end = take_hexadecimal(line);
        const auto slash = line.find('/');
        auto name = slash == std::string_view::npos ? std::string_view{} : line.substr(line.rfind('/') + 1);
        name = name.substr(0, kNameBytes - 1);
        if (name != std::string_view(current)) {
            current[name.copy(current, kNameBytes - 1)] = '\0';
            current_begin = begin;
        }
        for (std::size_t index = 0; index < frames && !name.empty(); ++index) {
            const auto place = reinterpret_cast<std::uintptr_t>(dump.frames[index]);
            if (place < begin || place >= end) continue;
            std::memcpy(modules[index].name, current, sizeof current);
            modules[index].begin = current_begin;
        }
    }
}

void write_report(std::string_view signal) {
    const auto frames = dump.count < kFrames ? dump.count : kFrames;
    find_modules(frames);
    page.add(crash_mark::kBegin);
    page.add(signal);
    page.add(":\n");
    for (std::size_t index = 0; index < frames; ++index) {
        // A return address belongs to the call before it.
        const auto place = reinterpret_cast<std::uintptr_t>(dump.frames[index]) - (index == 0 ? 0 : 1);
        page.add(crash_mark::kFrame);
        page.add_number(index, 10);
        page.add(" ");
        page.add(modules[index].name);
        page.add(modules[index].name[0] != '\0' ? "+0x" : "0x");
        page.add_number(place - modules[index].begin, 16);
        page.add("\n");
    }
    page.add(crash_mark::kEnd);
    page.add("\n");
    page.write();
}

void on_crash(int signal, siginfo_t* /*info*/, void* context) {
    const auto self = static_cast<int>(::syscall(SYS_gettid));
    int nobody = 0;
    if (reporting_process == ::getpid()) {  // what it has forked is not it
        if (crashing_thread.compare_exchange_strong(nobody, self)) {
            dump_stack(dump, context);
            for (const auto& crash : kCrashes) {
                if (crash.signal == signal) write_report(crash.name);
            }
        } else if (nobody != self) {
            // Another thread's report is on its way, and with it the end of this process.
            for (;;) ::pause();
        }
    }
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    ::sigaction(signal, &standard, nullptr);
    // Strikes when this handler returns: the signal is blocked until then.
    ::syscall(SYS_tgkill, ::getpid(), self, signal);
}

}  // namespace

CrashReport::CrashReport() {
    prepare_stack_dumps();
    reporting_process = ::getpid();
    stack_t present{};
    if (::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) != 0) {
        stack_t stack{};
        stack.ss_sp = crash_stack.data();
        stack.ss_size = crash_stack.size();
        own_stack_ = ::sigaltstack(&stack, nullptr) == 0;
    }
    struct sigaction action {};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (const auto& crash : kCrashes) {
        struct sigaction former {};
        if (::sigaction(crash.signal, nullptr, &former) != 0 || (former.sa_flags & SA_SIGINFO) != 0) continue;
        if (former.sa_handler == SIG_DFL) ::sigaction(crash.signal, &action, nullptr);
    }
}

CrashReport::~CrashReport() {
    for (const auto& crash : kCrashes) {
        struct sigaction present {};
        if (::sigaction(crash.signal, nullptr, &present) != 0 || (present.sa_flags & SA_SIGINFO) == 0) continue;
        if (present.sa_sigaction == on_crash) std::signal(crash.signal, SIG_DFL);
    }
    if (!own_stack_) return;
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
}

}  // namespace rankexec::worker
