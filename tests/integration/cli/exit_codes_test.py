# SPDX-License-Identifier: Apache-2.0
"""The table of exit codes of docs/cli.md, the same under every launcher, for both commands, and what --json
says with each: exit_codes_test.py RANKEXEC WORKER LAUNCHER [OPTION...] -- [unittest arguments].
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest

RANKEXEC = ""
WORKER = ""
OPTIONS = []
LAUNCHER = "local"
PATIENCE = 100

JOB = """name = "test"
[group]
ranks = 2
worker = ["{worker}"]
executor = "job"
grace_seconds = 0.5
abort_grace_seconds = 0.3
{group}
[[components]]
id = "job"
type = "job"
args = {{ {args} }}
[workflow]
rounds = 1
{workflow}
"""


class CodesTest(unittest.TestCase):
    def check(self, command, code, interrupt_after=None):
        """Runs it, and returns what --json says of the failure."""
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace") as process:
            seen = ""
            if interrupt_after:
                while interrupt_after not in seen:
                    line = process.stdout.readline()
                    self.assertTrue(line, "it ended too early")
                    seen += line
                process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, code, errors)
        outcome = json.loads(errors.splitlines()[-1])
        self.assertEqual(outcome["exit_code"], code, errors)
        self.assertEqual(outcome["failure"] is None, code == 0, errors)
        return outcome["failure"]


class Launch(CodesTest):
    """rankexec launch"""

    def launch(self, code, *words, script=None, program=None, **more):
        program = program or ["/bin/sh", "-c", script]
        return self.check([RANKEXEC, "launch", "--json", *OPTIONS, "-n", "2", *words, "--", *program], code, **more)

    def test_0_success(self):
        self.launch(0, script="exit 0")

    def test_1_log_on_a_full_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink("/dev/full", os.path.join(folder, "rank-1.out"))
            failure = self.launch(1, "--log-dir", folder, script="echo line")
            self.assertIn("rank-1.out is incomplete: No space left", failure["message"])
            self.launch(7, "--log-dir", folder, script='echo line; [ "$RANK" = 0 ] || exit 7')

    def test_2_usage(self):
        # Found before anything starts.
        done = subprocess.run([RANKEXEC, "launch", *OPTIONS, "-n", "none", "--", "true"], stderr=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 2, done.stderr)

    def test_124_time_out(self):
        # Long enough for every launcher to have started its ranks; where much else runs, the second one.
        for seconds in ("10" if LAUNCHER == "torchrun" else "5", "60"):
            failure = self.launch(124, "--timeout", seconds, "--grace", "0.5", script="exec sleep 1000")
            if len(failure["ranks"]) == 2:
                break
        self.assertEqual((failure["code"], failure["ranks"]), ("task_timeout", [0, 1]))

    @unittest.skipIf(len(sys.argv) > 3 and sys.argv[3] == "local", "nothing stands between us and the ranks")
    def test_125_launcher(self):
        if LAUNCHER == "command":
            command = [RANKEXEC, "launch", "--json", "--launcher", "command", "--command-template",
                       "false {rank_program}", "-n", "2", "--", "true"]
        else:
            command = [RANKEXEC, "launch", "--json", *OPTIONS, "--launcher-arg=--no-such-option-at-all", "-n", "2",
                       "--", "true"]
        self.assertEqual(self.check(command, 125)["code"], "launch_error")

    def test_125_not_containable(self):
        # In this user namespace of ours no PID namespace can be made. Never goes on without.
        forbid = ["unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_pid_namespaces && exec "$@"', "sh"]
        if subprocess.run(forbid + ["true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("no user namespaces here")
        failure = self.check([*forbid, RANKEXEC, "launch", "--json", *OPTIONS, "--contain", "pidns", "-n", "2", "--",
                              "true"], 125)
        self.assertEqual(failure["code"], "launch_error")
        self.assertIn("cannot contain the group in a PID namespace", failure["message"])

    def test_126_not_executable(self):
        failure = self.launch(126, program=["/etc/passwd"])
        self.assertIn("/etc/passwd", failure["message"] + "".join(failure["stderr"]))

    def test_127_not_found(self):
        failure = self.launch(127, program=["/no/such/program"])
        self.assertIn("/no/such/program", failure["message"] + "".join(failure["stderr"]))

    def test_130_interrupt(self):
        failure = self.launch(130, script="echo up; exec sleep 1000", interrupt_after="up")
        self.assertEqual(failure["code"], "task_aborted")

    def test_signal_of_the_first_failing_rank(self):
        failure = self.launch(128 + signal.SIGKILL, script='[ "$RANK" = 1 ] && kill -KILL $$; exec sleep 1000')
        self.assertEqual((failure["rank"], failure["signal"], failure["exit_code"]), (1, "SIGKILL", None))

    def test_code_of_the_first_failing_rank(self):
        failure = self.launch(7, script='[ "$RANK" = 1 ] || exec sleep 1000; printf "b\\377d\\n" >&2; exit 7')
        self.assertEqual((failure["rank"], failure["exit_code"], failure["signal"]), (1, 7, None))
        self.assertEqual(failure["stderr"], ["b\ufffdd"])
        self.assertGreater(failure["pid"], 0)
        self.assertTrue(failure["host"])


class Run(CodesTest):
    """rankexec run"""

    def job(self, code, args="", workflow="", group="", worker=None, words=(), **more):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "job.toml")
            with open(file, "w", encoding="utf-8") as out:
                out.write(JOB.format(worker=worker or WORKER, args=args, workflow=workflow, group=group))
            return self.check([RANKEXEC, "run", "--json", *OPTIONS, *words, file], code, **more)

    def test_0_success(self):
        self.job(0)

    def test_1_user_code_threw(self):
        failure = self.job(1, 'do = "throw", rank = 1')
        self.assertEqual((failure["rank"], failure["task"]), (1, "train"))
        self.assertIn("the data are spoilt", failure["message"])
        self.assertEqual(failure["exception"], "std::runtime_error")
        self.assertEqual(failure["stderr"][-1], "about to throw")

    def test_2_usage(self):
        failure = self.job(2, workflow="no_such_key = 1")
        self.assertIn("no_such_key", failure["message"])

    def test_124_deadline(self):
        failure = self.job(124, 'do = "ignore", rank = 1', workflow="task_deadline_seconds = 3")
        self.assertEqual((failure["code"], failure["ranks"]), ("task_timeout", [1]))
        self.assertEqual(failure["stacks"][0]["ranks"], [1])
        self.assertTrue(any("misbehave" in frame for frame in failure["stacks"][0]["frames"]), failure["stacks"])

    def test_127_not_found(self):
        self.job(127, worker="/no/such/worker")

    def test_130_interrupt(self):
        self.job(130, 'do = "wait", rank = 1', interrupt_after="rank 0 trains")

    def test_signal_of_the_first_failing_rank(self):
        failure = self.job(128 + signal.SIGSEGV, 'do = "crash", rank = 1')
        self.assertEqual((failure["rank"], failure["signal"]), (1, "SIGSEGV"))
        self.assertEqual(failure["stderr"][-1], "about to crash")
        self.assertTrue(any("job_worker+0x" in frame for frame in failure["stacks"][0]["frames"]), failure["stacks"])

    def test_code_of_the_first_failing_rank(self):
        failure = self.job(7, 'do = "exit", rank = 1')
        self.assertEqual((failure["rank"], failure["exit_code"]), (1, 7))


if __name__ == "__main__":
    RANKEXEC = os.path.abspath(sys.argv.pop(1))
    WORKER = os.path.abspath(sys.argv.pop(1))
    LAUNCHER = sys.argv[1]
    end = sys.argv.index("--")
    OPTIONS = ["--launcher", *sys.argv[1:end]]
    del sys.argv[1:end + 1]
    unittest.main()
