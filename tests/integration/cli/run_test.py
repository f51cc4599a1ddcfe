# SPDX-License-Identifier: Apache-2.0
"""`rankexec run` as a user sees it: run_test.py RANKEXEC WORKER [unittest arguments]."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest

RANKEXEC = ""
WORKER = ""
PATIENCE = 100

JOB = """name = "test"
[group]
ranks = 2
worker = ["{worker}"]
executor = "job"
{group}
[[components]]
id = "job"
type = "job"
args = {{ {args} }}
[workflow]
rounds = 2
{workflow}
"""


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.job = os.path.join(self.folder, "job.toml")

    def write(self, group="", args="", workflow="", worker=None):
        with open(self.job, "w", encoding="utf-8") as file:
            file.write(JOB.format(worker=worker or WORKER, group=group, args=args, workflow=workflow))

    def run_job(self, *words):
        return subprocess.run([RANKEXEC, "run", *words, self.job], cwd=self.folder, timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start(self):
        return subprocess.Popen([RANKEXEC, "run", self.job], cwd=self.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class Success(RunTest):
    def test_rounds_tables_and_the_final_line(self):
        self.write()
        done = self.run_job()
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[-1], "held_out_accuracy=0.5000")
        self.assertIn("rank 1  train 2/2  step 1/1  loss 0.5", lines)
        self.assertIn("[1] rank 1 trains", lines)
        header = next(index for index, line in enumerate(lines) if line.startswith("round  accuracy"))
        self.assertEqual([line.split()[:2] for line in lines[header + 1:header + 3]], [["1", "0.2500"], ["2", "0.5000"]])
        work = next(index for index, line in enumerate(lines) if line.startswith("rank  host"))
        self.assertEqual([line.split()[3] for line in lines[work + 1:work + 3]], ["20", "40"])
        self.assertEqual(done.stderr, "")

    def test_output_that_cannot_be_written(self):
        self.write()
        for redirection in (">", "2>"):
            line = shlex.join([RANKEXEC, "run", "--json", self.job]) + " " + redirection + "/dev/full"
            done = subprocess.run(["/bin/sh", "-c", line], cwd=self.folder, timeout=PATIENCE, check=False,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1, done.stderr)
        line = shlex.join([RANKEXEC, "run", self.job]) + " >/dev/full"
        done = subprocess.run(["/bin/sh", "-c", line], cwd=self.folder, timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot write output: No space left", done.stderr)

    def test_log_that_cannot_be_written(self):
        self.write(group='log_dir = "logs"')
        os.mkdir(os.path.join(self.folder, "logs"))
        os.symlink("/dev/full", os.path.join(self.folder, "logs", "rank-1.out"))
        done = self.run_job("--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        outcome = json.loads(done.stderr.splitlines()[-1])
        self.assertEqual((outcome["exit_code"], outcome["failure"]["code"]), (1, "execution_result_error"))
        self.assertIn("rank-1.out is incomplete: No space left", outcome["failure"]["message"])

    def test_options_win_over_the_job(self):
        self.write()
        done = self.run_job("-n", "3", "--launcher", "local")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("[2] rank 2 trains", done.stdout)

    def test_model_is_saved(self):
        self.write(workflow='save = { file = "model.npz" }')
        done = self.run_job()
        self.assertEqual(done.returncode, 0, done.stderr)
        import numpy
        with numpy.load(os.path.join(self.folder, "model.npz")) as model:
            self.assertEqual(model["w"].tolist(), [2.0])

    def test_terminal_shows_a_line_per_rank_in_place(self):
        self.write()
        child, terminal = pty.fork()
        if child == 0:
            os.execv(RANKEXEC, [RANKEXEC, "run", self.job])
        seen = b""
        try:
            while True:
                seen += os.read(terminal, 65536)
        except OSError:
            pass  # the other end is closed
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, seen)
        os.close(terminal)
        text = seen.decode()
        self.assertIn("\x1b[2A\x1b[J", text)
        # As a terminal shows it: what was erased is not there in the end.
        screen = []
        for piece in re.split("(\r\n|\r\x1b\\[\\d+A\x1b\\[J)", text):
            if piece == "\r\n":
                screen.append("")
            elif piece.startswith("\r\x1b["):
                lines = int(re.search("(\\d+)A", piece)[1])
                screen = screen[:len(screen) - lines] if lines < len(screen) else [""]
                screen[-1] = ""
            elif screen:
                screen[-1] += piece
            else:
                screen = [piece]
        self.assertEqual(sum(line.startswith("rank 0  ") for line in screen), 1, screen)
        self.assertIn("held_out_accuracy=0.5000", screen)

    def test_dry_run_starts_nothing(self):
        self.write(group='environment = { MARK = "yes" }')
        done = self.run_job("--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("MARK=yes", done.stdout)
        self.assertNotIn("trains", done.stdout)

    def test_worker_beside_the_job(self):
        os.symlink(WORKER, os.path.join(self.folder, "my_worker"))
        self.write(worker="my_worker")
        self.assertEqual(self.run_job().returncode, 0)


class Failures(RunTest):
    def expect(self, code, *texts, **job):
        self.write(**job)
        done = self.run_job()
        self.assertEqual(done.returncode, code, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)
        card = done.stderr[done.stderr.rindex("rankexec: "):]
        self.assertLessEqual(card.count("\n"), 24)
        return done

    def test_exception_names_rank_and_message(self):
        self.expect(1, "rank 1", "the data are spoilt", args='do = "throw", rank = 1')

    def test_exit_code_of_the_rank(self):
        self.expect(7, "rank 1", "exit code 7", "about to exit", args='do = "exit", rank = 1')

    def test_signal_of_the_rank(self):
        self.expect(128 + signal.SIGSEGV, "rank 0", "SIGSEGV", args='do = "crash", rank = 0')

    def test_deadline(self):
        self.expect(124, "train", args='do = "ignore", rank = 1',
                    workflow="task_deadline_seconds = 0.5", group="abort_grace_seconds = 0.1\ngrace_seconds = 0.1")

    def test_unknown_component_type(self):
        self.write()
        with open(self.job, encoding="utf-8") as file:
            text = file.read().replace('type = "job"', 'type = "jop"')
        with open(self.job, "w", encoding="utf-8") as file:
            file.write(text)
        done = self.run_job()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("jop", done.stderr)
        self.assertIn("job", done.stderr)

    def test_worker_that_is_missing(self):
        done = self.expect(127, "no-such-worker", self.folder, worker="no-such-worker")
        self.assertEqual(done.stdout, "")

    def test_worker_that_is_none(self):
        self.expect(126, "not executable", worker="/etc/passwd")

    def test_worker_that_never_says_hello(self):
        self.expect(124, worker='sleep", "1000', group="ready_timeout_seconds = 0.5\ngrace_seconds = 0.1")

    def test_worker_that_dies_first(self):
        self.expect(3, "exit code 3", worker='sh", "-c", "exit 3')

    def test_metric_that_is_not_given(self):
        self.expect(1, '"f1"', workflow='metric = "f1"')

    def test_plugin_without_the_entry_point(self):
        plugin = os.path.join(self.folder, "libc.so.6")
        os.symlink(os.path.realpath("/lib/x86_64-linux-gnu/libc.so.6"), plugin)
        self.write()
        with open(self.job, "a", encoding="utf-8") as file:
            file.write(f'[parent]\nplugin = "{plugin}"\n')
        done = self.run_job()
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("libc.so.6", done.stderr)


class Usage(RunTest):
    def refuse(self, *texts, **job):
        self.write(**job)
        done = self.run_job()
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_typo_names_line_and_nearest_key(self):
        self.refuse("job.toml:6:", '"grace_seconds"', group="grace_second = 1")

    def test_bad_values(self):
        self.refuse("job.toml:6:", "seconds", group='grace_seconds = "long"')
        self.refuse("mpirun", group='launcher = "mpi-run"')

    def test_missing_parent_plugin(self):
        self.write()
        with open(self.job, "a", encoding="utf-8") as file:
            file.write('[parent]\nplugin = "libabsent.so"\n')
        done = self.run_job()
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("libabsent.so", done.stderr)

    def test_model_that_cannot_be_saved(self):
        self.refuse("/nonexistent", workflow='save = { file = "/nonexistent/model.npz" }')

    def test_job_file_that_cannot_be_read(self):
        done = subprocess.run([RANKEXEC, "run", "/proc/self/mem"], stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("/proc/self/mem: cannot be read", done.stderr)

    def test_launcher_that_starts_no_rank(self):
        self.write(group='launcher = "command"\ncommand_template = "false {rank_program}"')
        done = self.run_job()
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("launcher command ended (exit code 1) before any rank was started", done.stderr)

    def test_missing_job_file(self):
        done = self.run_job()
        self.assertEqual(done.returncode, 2)
        self.assertIn("no such file", done.stderr)


class Interrupts(RunTest):
    def until(self, stream, text):
        for line in stream:
            if text in line:
                return
        self.fail(f"never said: {text}")

    def test_once_is_graceful(self):
        self.write(args='do = "wait", rank = 1')
        process = self.start()
        self.until(process.stderr, "about to wait")
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130, errors)
        self.assertIn("task_aborted", errors)

    def test_twice_is_now(self):
        self.write(args='do = "ignore", rank = 1', group="abort_grace_seconds = 1000\ngrace_seconds = 1000")
        process = self.start()
        self.until(process.stderr, "about to ignore")
        os.kill(process.pid, signal.SIGINT)
        self.until(process.stderr, "once more")
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130)

    def test_while_it_starts(self):
        self.write(worker='sh", "-c", "echo started; exec sleep 1000', group="grace_seconds = 0.1")
        process = self.start()
        self.until(process.stdout, "started")
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 143, errors)


if __name__ == "__main__":
    RANKEXEC = os.path.abspath(sys.argv.pop(1))
    WORKER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
