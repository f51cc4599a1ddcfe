// SPDX-License-Identifier: Apache-2.0
#include "rankexec/worker/stack_dump.hpp"

#include <dlfcn.h>
#include <ucontext.h>

#include <cxxabi.h>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <boost/stacktrace/safe_dump_to.hpp>

#include "rankexec/worker/symbol_file.hpp"

namespace rankexec::worker {
namespace {

/// Where the thread was when the signal struck; null where we do not know how to tell.
const void* struck_at(const void* context) noexcept {
    if (context == nullptr) return nullptr;
    [[maybe_unused]] const auto* const machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return reinterpret_cast<const void*>(machine->gregs[REG_RIP]);
#elif defined(__aarch64__)
    return reinterpret_cast<const void*>(machine->pc);
#else
    return nullptr;
#endif
}

std::string hexadecimal(std::uintptr_t number) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%lx", static_cast<unsigned long>(number));
    return text;
}

std::string demangled(const char* name) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> text(abi::__cxa_demangle(name, nullptr, nullptr, &status),
                                                           &std::free);
    return status == 0 && text ? text.get() : name;
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

void prepare_stack_dumps() {
    StackDump dump;
    dump_stack(dump, nullptr);
}

void dump_stack(StackDump& dump, const void* context) noexcept {
    std::fill(std::begin(dump.frames), std::end(dump.frames), nullptr);
    (void)boost::stacktrace::safe_dump_to(0, static_cast<void*>(dump.frames), sizeof dump.frames);
    const void* const* const first = dump.frames;
    const auto* const end = std::find(first, first + std::size(dump.frames), nullptr);
    // Ours, the handler's and the kernel's come first.
    const auto* const begin = std::find(first, end, struck_at(context));
    if (begin != end && begin != first) {
        std::copy(begin, end, dump.frames);
        dump.count = static_cast<std::size_t>(end - begin);
    } else {
        dump.count = static_cast<std::size_t>(end - first);
    }
    dump.count = std::min(dump.count, kMostFrames);
}

std::string frame_text(const void* address, bool innermost) {
    const auto place = reinterpret_cast<std::uintptr_t>(address) - (innermost ? 0 : 1);
    Dl_info info{};
    if (::dladdr(reinterpret_cast<const void*>(place), &info) == 0 || info.dli_fname == nullptr) {
        return hexadecimal(place);
    }
    const std::string module = info.dli_fname;
    const auto base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
    const auto name = file_name(module);
    if (info.dli_sname != nullptr) {
        return demangled(info.dli_sname) + "+" + hexadecimal(place - reinterpret_cast<std::uintptr_t>(info.dli_saddr)) +
               " (" + name + ")";
    }
    // Only what a library exports is known to the loader; most of a program's functions are in its file alone.
    if (const auto symbol = find_symbol(module, place - base)) {
        return demangled(symbol->name.c_str()) + "+" + hexadecimal(symbol->offset) + " (" + name + ")";
    }
    return name + "+" + hexadecimal(place - base);
}

}  // namespace rankexec::worker
