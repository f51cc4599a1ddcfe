# SPDX-License-Identifier: Apache-2.0
"""What the wrappers of this folder share: running a command within surroundings that vanish with it.

A wrapper adopts every process that its command leaves behind (PR_SET_CHILD_SUBREAPER), ends it, and
says so: leftovers are the command's fault, and the wrapper's exit code shows it.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

CANNOT_START = 125
LEFT_BEHIND = 124
STOP_SECONDS = 5

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class CannotStart(Exception):
    """The surroundings did not come up; the message says why."""


class Stopped(Exception):
    """A signal asked this program to end."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def _on_signal(number, _frame):
    raise Stopped(number)


def end_with_parent(number):
    """In a child before exec, after every change of user, which would undo it."""
    LIBC.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def wait_until(condition, seconds):
    """Calls condition, less often the longer it takes, until it returns something true."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        result = condition()
        if result or time.monotonic() > deadline:
            return result
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def _children():
    with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def _command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _reap(pids, seconds):
    """Reaps these children as they end; returns those that have not ended in time."""
    descriptors = {}
    for pid in pids:
        try:
            descriptors[os.pidfd_open(pid)] = pid
        except OSError:
            pass
    deadline = time.monotonic() + seconds
    while descriptors:
        ready, _, _ = select.select(list(descriptors), [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            break
        for descriptor in ready:
            try:
                os.waitpid(descriptors.pop(descriptor), os.WNOHANG)
            except ChildProcessError:
                pass
            os.close(descriptor)
    left = list(descriptors.values())
    for descriptor in descriptors:
        os.close(descriptor)
    return left


def end_adopted(surroundings, own=()):
    """Ends every child but `own`; those that did not end by themselves are described in the result,
    unless they belong to the surroundings."""
    seen = []
    for _ in range(100):
        adopted = [pid for pid in _children() if pid not in own]
        if not adopted:
            break
        for pid in _reap(adopted, STOP_SECONDS):
            command = _command_of(pid)
            if not surroundings.is_own(command):
                seen.append(f"{pid} {command}")
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            _reap([pid], STOP_SECONDS)
    return seen


def _run_command(argv, environment, in_child):
    """The command's exit code as a shell would show it. A signal for us is passed on to it."""

    def prepare():
        in_child()
        end_with_parent(signal.SIGTERM)

    try:
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            argv, env=environment, preexec_fn=prepare)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)
        return 127
    try:
        code = _wait_and_reap(process)
    except Stopped as stopped:
        process.send_signal(stopped.number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    return code if code >= 0 else 128 - code


def _wait_and_reap(process):
    """Waits for the command; what it leaves to us, the nearest subreaper, is no zombie meanwhile."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if ended.si_pid == process.pid:
            return process.wait()
        os.waitpid(ended.si_pid, 0)


def run_within(name, surroundings, argv):
    """Starts the surroundings, runs the command in them, stops them. Returns the exit code: the
    command's, CANNOT_START or LEFT_BEHIND.

    `surroundings` has start(), stop(), environment, own_pids(), is_own(command) for processes that its
    own have started, and in_child(), which the command's process calls before exec.
    """
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in ENDING_SIGNALS:
        signal.signal(number, _on_signal)
    code = CANNOT_START
    try:
        surroundings.start()
        code = _run_command(argv, surroundings.environment, surroundings.in_child)
    except CannotStart as error:
        print(f"{name}: {error}", file=sys.stderr)
    except Stopped as stopped:
        code = 128 + stopped.number
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        left = end_adopted(surroundings, surroundings.own_pids())
        surroundings.stop()
        left += end_adopted(surroundings)
    if left:
        print(f"{name}: the command left behind:\n  " + "\n  ".join(left), file=sys.stderr)
        code = code or LEFT_BEHIND
    return code
