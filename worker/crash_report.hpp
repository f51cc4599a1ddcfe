// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace rankexec::worker {

/// Makes this process write its stack to standard error when it crashes (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
/// SIGABRT), before it dies of that signal all the same. Signals that the program, or a sanitizer,
/// handles itself are left to it. The thread that makes it gets a stack of its own for that, so that even
/// the overflow of its own stack is reported. At most one in a process.
class CrashReport {
public:
    CrashReport();
    ~CrashReport();
    CrashReport(const CrashReport&) = delete;
    CrashReport& operator=(const CrashReport&) = delete;

private:
    bool own_stack_ = false;
};

}  // namespace rankexec::worker
