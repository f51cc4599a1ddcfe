# SPDX-License-Identifier: Apache-2.0
"""`rankexec launch` as a user sees it: launch_test.py RANKEXEC LAUNCHER [unittest arguments].

Nothing here depends on how fast the machine is: tests wait for lines that ranks print, for the end of
processes, and for states of processes.
"""

import os
import pty
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

RANKEXEC = ""
LAUNCHER = "local"
#: Longer than anything takes on a machine that works.
PATIENCE = 100


def command(*words, ranks=2, program=()):
    return [RANKEXEC, "launch", "--launcher", LAUNCHER, "-n", str(ranks), *words, "--", *program]


def sh(script):
    return ["/bin/sh", "-c", script]


def run(*words, ranks=2, program=(), **arguments):
    arguments.setdefault("stdin", subprocess.DEVNULL)
    if "input" in arguments:
        del arguments["stdin"]
    return subprocess.run(command(*words, ranks=ranks, program=program), timeout=PATIENCE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **arguments)


def start(*words, ranks=2, program=(), **arguments):
    arguments.setdefault("stdin", subprocess.DEVNULL)
    arguments.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen(command(*words, ranks=ranks, program=program), stderr=subprocess.PIPE, **arguments)


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE
    pause = 0.002
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("this never came true")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


class LaunchTest(unittest.TestCase):
    def finish(self, process):
        """The rest of its output; the process is gone afterwards."""
        output, errors = process.communicate(timeout=PATIENCE)
        return output, errors.decode(errors="replace")

    def pids(self, process, ranks=2):
        """Of the ranks, whose first line is their pid."""
        return [int(process.stdout.readline()) for _ in range(ranks)]


class ExitCodes(LaunchTest):
    def test_success(self):
        done = run(program=["true"])
        self.assertEqual((done.returncode, done.stdout), (0, b""))

    def test_first_failing_rank(self):
        done = run(ranks=3, program=sh('[ "$RANK" = 1 ] && exit 7; exec sleep 1000'))
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn(b"rank 1", done.stderr)
        self.assertIn(b"exit code 7", done.stderr)

    def test_signal(self):
        done = run(program=sh('[ "$RANK" = 1 ] && kill -KILL $$; exec sleep 1000'))
        self.assertEqual(done.returncode, 128 + signal.SIGKILL, done.stderr)
        self.assertIn(b"signal 9 (SIGKILL)", done.stderr)

    def test_card_has_the_last_lines_of_its_errors_and_fits_a_screen(self):
        done = run(program=sh('[ "$RANK" = 1 ] || exec sleep 1000; seq 1000 1200 >&2; exit 3'))
        self.assertEqual(done.returncode, 3, done.stderr)
        card = done.stderr[done.stderr.index(b"rankexec:"):].decode()
        self.assertIn("    1200\n", card)
        self.assertLessEqual(card.count("\n"), 24)

    def test_equal_failures_are_folded(self):
        done = run(ranks=4, program=sh("exit 5"))
        self.assertEqual(done.returncode, 5)
        self.assertEqual(done.stderr.count(b"exit code 5"), 1)

    def test_timeout(self):
        done = run("--timeout", "0.3", "--grace", "0.3", program=["sleep", "1000"])
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn(b"time-out after 0.3 s", done.stderr)

    def test_stubborn_ranks_are_ended_by_force(self):
        done = run("--timeout", "0.3", "--grace", "0.1", program=sh('trap "" TERM INT; while :; do sleep 1; done'))
        self.assertEqual(done.returncode, 124, done.stderr)

    def test_missing_program(self):
        done = run(program=["no-such-program-anywhere"])
        self.assertEqual(done.returncode, 127, done.stderr)
        self.assertIn(b"no-such-program-anywhere", done.stderr)

    def test_program_that_is_none(self):
        done = run(program=["/etc/passwd"])
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertIn(b"/etc/passwd", done.stderr)


class Output(LaunchTest):
    def test_bytes_are_forwarded_unchanged(self):
        done = run(ranks=1, program=["head", "-c", "3000000", "/dev/zero"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, bytes(3000000))

    def test_everything_is_complete_at_the_end(self):
        done = run(ranks=4, program=["seq", "1", "20000"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(done.stdout.split()), sorted(4 * [str(n).encode() for n in range(1, 20001)]))

    def test_streams_are_kept_apart(self):
        done = run(ranks=1, program=sh("echo out; echo err >&2"))
        self.assertEqual((done.stdout, done.stderr), (b"out\n", b"err\n"))

    def test_labels(self):
        script = 'i=0; while [ $i -lt 500 ]; do printf "%s-" "$RANK"; printf "%s\\n" $i; i=$((i+1)); done; printf end'
        done = run("--label", ranks=3, program=sh(script))
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode().splitlines()
        for rank in range(3):
            mine = [line for line in lines if line.startswith(f"[{rank}] ")]
            self.assertEqual(mine, [f"[{rank}] {rank}-{i}" for i in range(500)] + [f"[{rank}] end"])
        self.assertEqual(len(lines), 3 * 501)

    def test_log_folder(self):
        with tempfile.TemporaryDirectory() as folder:
            logs = os.path.join(folder, "new", "logs")
            done = run("--log-dir", logs, program=sh('echo "out $RANK"; echo "err $RANK" >&2'))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
            for rank in range(2):
                for kind in ("out", "err"):
                    with open(f"{logs}/rank-{rank}.{kind}", encoding="ascii") as file:
                        self.assertEqual(file.read(), f"{kind} {rank}\n")

    def test_tee(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run("--log-dir", folder, "--tee", "--label", program=sh('echo "out $RANK"'))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(sorted(done.stdout.splitlines()), [b"[0] out 0", b"[1] out 1"])
            with open(f"{folder}/rank-1.out", encoding="ascii") as file:
                self.assertEqual(file.read(), "out 1\n")

    def test_failure_names_the_log_files(self):
        with tempfile.TemporaryDirectory() as folder:
            done = run("--log-dir", folder, program=sh('[ "$RANK" = 1 ] || exec sleep 1000; echo why >&2; exit 3'))
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn(b"    why\n", done.stderr)
            self.assertIn(f"{folder}/rank-1.err".encode(), done.stderr)

    def test_reader_that_goes_ends_the_group(self):
        process = start(program=["yes"])
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGPIPE)
        process.stderr.close()

    def test_reader_that_does_not_read_does_not_hold_up_supervision(self):
        # A pipe that is full from the start: no output of the group ever gets through.
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, bytes(65536))
        except BlockingIOError:
            os.set_blocking(writer, True)
        with tempfile.TemporaryDirectory() as folder:
            ready = os.path.join(folder, "pid")
            script = f'[ "$RANK" = 0 ] || exec yes; echo $$ > {ready}.new; mv {ready}.new {ready}; exec sleep 1000'
            process = start(program=sh(script), stdout=writer)
            os.close(writer)
            wait_until(lambda: os.path.exists(ready))
            with open(ready, encoding="ascii") as file:
                pid = int(file.read())
            os.kill(process.pid, signal.SIGTERM)
            wait_until(lambda: state_of(pid) is None)
            os.close(reader)
            self.finish(process)


class Input(LaunchTest):
    def test_goes_to_rank_0_only(self):
        done = run("--label", program=["cat"], input=b"hello\n")
        self.assertEqual((done.returncode, done.stdout), (0, b"[0] hello\n"), done.stderr)

    def test_goes_to_all(self):
        done = run("--label", "--stdin", "all", program=["cat"], input=b"hello\n")
        self.assertEqual(sorted(done.stdout.splitlines()), [b"[0] hello", b"[1] hello"], done.stderr)

    def test_goes_to_none(self):
        done = run("--stdin", "none", program=["cat"], input=b"hello\n")
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)

    def test_much_of_it_arrives_complete(self):
        data = os.urandom(3_000_000)
        done = run(program=["cat"], input=data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_same(done.stdout, data)

    def assert_same(self, got, wanted):
        """Without printing megabytes."""
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        self.assertTrue(got == wanted, f"{len(got)} bytes of {len(wanted)}, different from {at} on")

    def test_a_rank_that_does_not_read_is_no_obstacle(self):
        done = run(program=["true"], input=bytes(3_000_000))
        self.assertEqual(done.returncode, 0, done.stderr)


class Environment(LaunchTest):
    def variables(self, *words, names, ranks=2, **arguments):
        script = "".join(f'printf "%s " "${{{name}-unset}}"; ' for name in names) + "echo"
        done = run(*words, ranks=ranks, program=sh(script), **arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return sorted(line.split() for line in done.stdout.decode().splitlines())

    def test_ranks(self):
        names = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"]
        self.assertEqual(self.variables(names=names), [["0", "0", "2", "2"], ["1", "1", "2", "2"]])

    def test_meeting_point_is_the_same_for_all(self):
        first, second = self.variables(names=["MASTER_ADDR", "MASTER_PORT"])
        self.assertEqual(first, second)
        self.assertTrue(1 <= int(first[1]) <= 65535)

    def test_meeting_point_can_be_given(self):
        if LAUNCHER == "torchrun":
            self.skipTest("torchrun's own stays, because its agent may serve the store there")
        got = self.variables("--master-addr", "10.1.2.3", "--master-port", "4711", names=["MASTER_ADDR", "MASTER_PORT"])
        self.assertEqual(got, 2 * [["10.1.2.3", "4711"]])

    def test_exports(self):
        environment = dict(os.environ, PASSED_ON="from-us")
        got = self.variables("-x", "PASSED_ON", "-x", "GIVEN=a=b", names=["PASSED_ON", "GIVEN"], env=environment)
        self.assertEqual(got, 2 * [["from-us", "a=b"]])

    def test_gpus(self):
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="4,5,6,7")
        got = self.variables("--gpus-per-rank", "2", names=["RANK", "CUDA_VISIBLE_DEVICES"], env=environment)
        self.assertEqual(got, [["0", "4,5"], ["1", "6,7"]])

    def test_gpus_are_left_alone_by_default(self):
        environment = dict(os.environ, CUDA_VISIBLE_DEVICES="5")
        self.assertEqual(self.variables(names=["CUDA_VISIBLE_DEVICES"], env=environment), [["5"], ["5"]])

    def test_foreign_rank_variables_are_dropped(self):
        environment = dict(os.environ, OMPI_COMM_WORLD_RANK="5", PMI_RANK="6", SLURM_PROCID="7", RANK="8",
                           WORLD_SIZE="99", LOCAL_RANK="8")
        self.assertEqual(self.variables(names=["RANK", "WORLD_SIZE"], env=environment), [["0", "2"], ["1", "2"]])


class Signals(LaunchTest):
    READY = "echo $$; "

    def test_interrupt_is_graceful(self):
        script = 'trap "echo ended $RANK; exit 0" TERM; ' + self.READY + "while :; do sleep 0.1; done"
        process = start(program=sh(script))
        self.pids(process)
        os.kill(process.pid, signal.SIGINT)
        output, errors = self.finish(process)
        self.assertEqual(process.returncode, 130, errors)
        self.assertEqual(sorted(output.splitlines()), [b"ended 0", b"ended 1"])

    def test_second_interrupt_does_not_wait(self):
        script = 'trap "" TERM; ' + self.READY + "while :; do sleep 1; done"
        process = start("--grace", "1000", program=sh(script))
        pids = self.pids(process)
        os.kill(process.pid, signal.SIGINT)
        # Its answer says that the first one was seen.
        process.stderr.readline()
        os.kill(process.pid, signal.SIGINT)
        _, errors = self.finish(process)
        self.assertEqual(process.returncode, 130, errors)
        for pid in pids:
            self.assertIsNone(state_of(pid))

    def test_termination_and_hang_up_are_graceful(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            process = start(program=sh(self.READY + "exec sleep 1000"))
            self.pids(process)
            os.kill(process.pid, number)
            _, errors = self.finish(process)
            self.assertEqual(process.returncode, 128 + number, errors)

    def test_suspend_stops_the_ranks_too(self):
        # No loop of commands: a shell that waits for a child which was stopped before its exec is never "T".
        process = start(program=sh(self.READY + "exec sleep 1000"))
        pids = self.pids(process)
        os.kill(process.pid, signal.SIGTSTP)
        wait_until(lambda: all(state_of(pid) == "T" for pid in [process.pid, *pids]))
        os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: all(state_of(pid) not in ("T", None) for pid in [process.pid, *pids]))
        os.kill(process.pid, signal.SIGTERM)
        _, errors = self.finish(process)
        self.assertEqual(process.returncode, 143, errors)

    @unittest.skipIf(len(sys.argv) > 2 and sys.argv[2] == "local", "local ranks hang on no connection")
    def test_suspension_outlasts_the_lease(self):
        """Ranks elsewhere hear nothing from a suspended parent, and must not take it for gone."""
        process = start(program=sh(self.READY + "exec sleep 1000"))
        pids = self.pids(process)
        os.kill(process.pid, signal.SIGTSTP)
        wait_until(lambda: all(state_of(pid) == "T" for pid in [process.pid, *pids]))
        time.sleep(8)  # heartbeats are missed after 4 s, and a lease ends 1 s later
        os.kill(process.pid, signal.SIGCONT)
        wait_until(lambda: all(state_of(pid) not in ("T", None) for pid in pids))
        os.kill(process.pid, signal.SIGTERM)
        _, errors = self.finish(process)
        self.assertEqual(process.returncode, 143, errors)

    def test_suspension_loses_nothing(self):
        """What was on its way through connections that a suspension has cut arrives, in order, once."""
        lines = b"".join(b"%015d\n" % number for number in range(2 << 20))
        process = start("--heartbeat-timeout", "2", program=sh('[ "$RANK" = 0 ] || exec sleep 5; exec cat'),
                        stdin=subprocess.PIPE)
        feeder = threading.Thread(target=lambda: (process.stdin.write(lines), process.stdin.close()))
        feeder.start()
        patience = threading.Timer(PATIENCE, process.terminate)  # what was lost would be waited for without an end
        patience.start()
        self.addCleanup(patience.cancel)
        seen = process.stdout.read(1 << 20)
        os.kill(process.pid, signal.SIGTSTP)
        wait_until(lambda: state_of(process.pid) == "T")
        time.sleep(4)  # heartbeats are missed after 2 s, and a lease ends 1 s later
        os.kill(process.pid, signal.SIGCONT)
        seen += process.stdout.read()
        feeder.join()
        errors = process.stderr.read()
        self.assertEqual(process.wait(PATIENCE), 0, errors)
        self.assertEqual((len(seen), seen == lines), (len(lines), True), errors)
        process.stdout.close()
        process.stderr.close()

    def test_keys_of_a_terminal(self):
        """Ctrl-Z and Ctrl-C as keys: the ranks are in no job of the shell, and obey all the same."""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(RANKEXEC, command(program=sh("echo rank $$; exec sleep 1000")))
        try:
            seen = b""
            pids = []
            while len(pids) < 2:
                seen += os.read(terminal, 4096)
                pids = [int(number) for number in re.findall(rb"rank (\d+)\r", seen)]
            os.write(terminal, b"\x1a")
            wait_until(lambda: all(state_of(pid) == "T" for pid in [child, *pids]))
            os.kill(child, signal.SIGCONT)
            os.write(terminal, b"\x03")
            code = os.waitpid(child, 0)[1]
            self.assertEqual(os.waitstatus_to_exitcode(code), 130)
            for pid in pids:
                self.assertIsNone(state_of(pid))
        finally:
            os.close(terminal)

    def test_ranks_have_no_terminal(self):
        """Who opens /dev/tty in the background would be stopped by it, for ever."""
        child, terminal = pty.fork()
        if child == 0:
            os.execv(RANKEXEC, command(program=sh("(exec 3</dev/tty) 2>/dev/null && echo has one || echo has none")))
        seen = b""
        try:
            while chunk := os.read(terminal, 4096):
                seen += chunk
        except OSError:
            pass  # Linux says EIO when the other end is closed
        finally:
            os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertEqual((seen.count(b"has none"), seen.count(b"has one")), (2, 0), seen)


class Usage(LaunchTest):
    def test_bad_rank_counts_start_nothing(self):
        for count in ("0", "-1", "four", "65537", "1e3"):
            done = run(ranks=count, program=["echo", "started"])
            self.assertEqual((done.returncode, done.stdout), (2, b""), count)
            self.assertTrue(done.stderr.startswith(b"rankexec: -n: "), done.stderr)

    def test_values_that_are_not_there(self):
        for words, expected in ((["-n", "", "--", "true"], b"empty"), (["-n"], b"missing"),
                                (["--launcher", "command", "--", "true"], b"--command-template")):
            done = subprocess.run([RANKEXEC, "launch", *words], stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(expected, done.stderr)

    def test_master_of_torchrun(self):
        done = subprocess.run([RANKEXEC, "launch", "--launcher", "torchrun", "--master-port", "4711", "--", "true"],
                              stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(b"MASTER_PORT", done.stderr)

    def test_template_that_starts_no_rank(self):
        done = subprocess.run([RANKEXEC, "launch", "-n", "3", "--launcher", "command", "--command-template",
                               "true {rank_program}", "--", "true"], stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn(b"before any rank was started", done.stderr)
        self.assertIn(b"0-2", done.stderr)

    def test_more_gpus_than_there_are(self):
        done = run("--gpus-per-rank", "1", ranks=3, program=["true"],
                   env={**os.environ, "CUDA_VISIBLE_DEVICES": "0,1"})
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertIn(b"needs 1 GPU(s)", done.stderr)
        self.assertIn(socket.gethostname().encode(), done.stderr)

    def test_folder_for_sockets_that_cannot_be_made(self):
        done = subprocess.run([RANKEXEC, "launch", "--launcher", "command", "--command-template", "{rank_program}",
                               "--", "true"], env={**os.environ, "TMPDIR": "/proc", "XDG_RUNTIME_DIR": ""},
                              stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn(b"set TMPDIR", done.stderr)
        self.assertIn(b"/proc", done.stderr)

    def test_too_few_open_files_start_nothing(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))

        done = run(ranks=9, program=["echo", "started"], preexec_fn=limit)
        self.assertEqual((done.returncode, done.stdout), (125, b""), done.stderr)
        self.assertIn(b"raise the limit", done.stderr)

    def test_interpreter_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, "script")
            with open(script, "w", encoding="ascii") as file:
                file.write("#!/nonexistent/sh\n")
            os.chmod(script, 0o755)
            done = run(ranks=1, program=[script])
        self.assertEqual(done.returncode, 127, done.stderr)
        self.assertIn(b"interpreter", done.stderr)

    def test_nearest_names(self):
        done = run("--lable", program=["true"])
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"'--label'", done.stderr)

    def test_unknown_launcher(self):
        done = subprocess.run([RANKEXEC, "launch", "--launcher", "mpi-run", "--", "true"], stderr=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"'mpirun'", done.stderr)

    def test_launcher_that_is_not_installed(self):
        with tempfile.TemporaryDirectory() as empty:
            for launcher in ("mpirun", "hydra", "srun"):
                done = subprocess.run([RANKEXEC, "launch", "--launcher", launcher, "--", "true"],
                                      env={"PATH": empty}, stderr=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, 125, done.stderr)

    def test_dry_run_starts_nothing(self):
        done = run("--dry-run", "-x", "A=1", program=["touch", "/nonexistent/file"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"A=1", done.stdout)
        self.assertIn(b"touch /nonexistent/file", done.stdout)

    def redirected(self, redirection, *words):
        """As a shell starts it that was told to close a stream."""
        line = shlex.join([RANKEXEC, *words]) + redirection
        return subprocess.run(["/bin/sh", "-c", line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=PATIENCE, check=False)

    def test_closed_streams(self):
        for mode in ("0", "all"):
            done = self.redirected(" <&-", "launch", "-n", "2", "--stdin", mode, "--", "cat")
            self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        done = self.redirected(" 2>&-", "launch", "--", "sh", "-c", "echo out; echo error >&2")
        self.assertEqual((done.returncode, done.stdout), (0, b"out\n"))

    def test_output_that_cannot_be_written(self):
        for redirection in (" >&-", " >/dev/full"):
            for words in (["launch", "-n", "2", "--", "echo", "line"], ["launch", "--dry-run", "--", "true"],
                          ["--version"]):
                done = self.redirected(redirection, *words)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(b"cannot write output", done.stderr)

    def test_errors_that_cannot_be_written(self):
        for words in (["-n", "2", "--", "sh", "-c", "echo line >&2"], ["--json", "--", "true"]):
            done = self.redirected(" 2>/dev/full", "launch", *words)
            self.assertEqual(done.returncode, 1, words)
        done = self.redirected(" 2>/dev/full", "launch", "-n", "2", "--", "sh", "-c", "echo line >&2; exit 3")
        self.assertEqual(done.returncode, 3)

    def test_version_and_help(self):
        for words, expected in ((["--version"], b"rankexec 0."), (["help"], b"launch"), (["help", "launch"], b"--label")):
            done = subprocess.run([RANKEXEC, *words], stdout=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 0)
            self.assertIn(expected, done.stdout)


if __name__ == "__main__":
    RANKEXEC = os.path.abspath(sys.argv.pop(1))
    LAUNCHER = sys.argv.pop(1)
    unittest.main()
