# SPDX-License-Identifier: Apache-2.0
"""`rankexec run` with programs outside, as a user sees it: outside_test.py RANKEXEC EXAMPLES [unittest arguments]."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RANKEXEC = ""
EXAMPLES = ""
PATIENCE = 100

# Takes tasks with nothing but a shell. Its metric is the number of the round, as tenths.
TRAINER = """#!/bin/sh
while {rankexec} agent get-task --into task >/dev/null; do
    round=$(sed -n 's/.*"round": *\\([0-9]*\\).*/\\1/p' task/task.json | head -n 1)
    echo "round $round in process $$"
    {extra}
    rm -rf result && mkdir result
    printf '{{"headers": {{"accuracy": 0.%s}}}}' "$round" > result/result.json
    {rankexec} agent log loss="0.$round" samples=10
    {rankexec} agent submit-result result
done
"""

WORKFLOW = """
[workflow]
rounds = 2
"""


class OutsideTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.job = os.path.join(self.folder, "job.toml")
        self.agents = []

    def write_trainer(self, extra=":"):
        path = os.path.join(self.folder, "train.sh")
        with open(path, "w", encoding="utf-8") as file:
            file.write(TRAINER.format(rankexec=RANKEXEC, extra=extra))
        os.chmod(path, 0o755)
        return path

    def write_job(self, text):
        with open(self.job, "w", encoding="utf-8") as file:
            file.write(text)

    def write_launched(self, *command, program="", workflow=WORKFLOW):
        words = ", ".join(json.dumps(word) for word in command)
        self.write_job(f'executor = "launcher"\n[group]\ndirectory = "."\ngrace_seconds = 1\n[program]\n'
                       f"command = [{words}]\n{program}\n{workflow}")

    def run_job(self, *words):
        return subprocess.run([RANKEXEC, "run", *words, self.job], cwd=self.folder, timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace")

    def outcome_of(self, done):
        return json.loads(done.stderr.splitlines()[-1])


class Launched(OutsideTest):
    def test_a_shell_script_trains_and_its_logs_are_shown(self):
        self.write_launched(RANKEXEC, "agent", "run", "--", self.write_trainer())
        done = self.run_job()
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[-1], "held_out_accuracy=0.2000")
        self.assertIn("rank 0  train 2/2  loss 0.2", lines)
        work = next(index for index, line in enumerate(lines) if line.startswith("rank  host"))
        self.assertEqual(lines[work + 1].split()[3:], ["40", "4"])
        self.assertEqual(len({line.split()[-1] for line in lines if "in process" in line}), 1)

    def test_one_program_for_each_task(self):
        self.write_launched(RANKEXEC, "agent", "run", "--", self.write_trainer(), program="launch_once = false")
        done = self.run_job()
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(len({line.split()[-1] for line in done.stdout.splitlines() if "in process" in line}), 4)

    def test_through_files(self):
        self.write_launched(RANKEXEC, "agent", "run", "--", self.write_trainer(), program='pipe = "files"')
        done = self.run_job()
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)

    def test_a_group_of_ranks_of_which_rank_0_takes_tasks(self):
        trainer = self.write_trainer()
        script = f'if [ "$RANK" = 0 ]; then exec {RANKEXEC} agent run -- {trainer}; fi; echo "rank $RANK waits"; sleep 1000'
        self.write_launched("sh", "-c", script)
        done = self.run_job("-n", "3")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertIn("[2] rank 2 waits", done.stdout)

    def test_what_crashes_is_named_with_its_last_words(self):
        self.write_launched("sh", "-c", "echo on its way; echo out of luck >&2; exit 3")
        done = self.run_job()
        self.assertEqual(done.returncode, 3)
        for word in ("sh -c", "exit code 3", "on its way", "out of luck", '"train"'):
            self.assertIn(word, done.stderr)

    def test_what_never_connects(self):
        self.write_launched("sleep", "1000", program="pre_initialise_seconds = 1")
        done = self.run_job()
        self.assertNotEqual(done.returncode, 0)
        for word in ("sleep 1000", "has not connected", "pre_initialise"):
            self.assertIn(word, done.stderr)

    def test_what_hangs_in_a_task(self):
        trainer = self.write_trainer(extra="sleep 1000")
        self.write_launched(RANKEXEC, "agent", "run", "--", trainer, workflow=WORKFLOW + "task_deadline_seconds = 2")
        done = self.run_job()
        self.assertEqual(done.returncode, 124)
        self.assertIn("there is no result within 2.00 s", done.stderr)

    def test_what_floods_its_output_without_a_line_break(self):
        trainer = self.write_trainer(extra="head -c 200000000 /dev/zero | tr '\\0' x")
        self.write_launched(RANKEXEC, "agent", "run", "--", trainer,
                            workflow="[workflow]\nrounds = 1\nvalidate_task = \"\"\n")
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            done = subprocess.run([RANKEXEC, "run", self.job], cwd=self.folder, timeout=PATIENCE, check=False,
                                  stdin=subprocess.DEVNULL, stdout=nowhere, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_has_to_be_killed_leaves_nothing(self):
        trainer = os.path.join(self.folder, "stubborn.sh")
        with open(trainer, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ntrap '' TERM\n{RANKEXEC} agent get-task --into task >/dev/null\n"
                       "while :; do sleep 1; done\n")
        os.chmod(trainer, 0o755)
        runtime = os.path.join(self.folder, "runtime")
        os.mkdir(runtime)
        for pipe in ("zeromq", "files"):
            self.write_launched(RANKEXEC, "agent", "run", "--", trainer, program=f'pipe = "{pipe}"',
                                workflow=WORKFLOW + "task_deadline_seconds = 2")
            done = subprocess.run([RANKEXEC, "run", self.job], cwd=self.folder, timeout=PATIENCE, check=False,
                                  env=dict(os.environ, XDG_RUNTIME_DIR=runtime), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 124, done.stderr)
            self.assertEqual(os.listdir(runtime), [])

    def start_unread(self, task_deadline):
        """A run whose program writes more than anybody takes, and what it writes when it has begun."""
        marker = os.path.join(self.folder, "writes")
        trainer = self.write_trainer(extra=f"touch {marker}; head -c 5000000 /dev/zero | tr '\\0' x; sleep 1000")
        self.write_launched(RANKEXEC, "agent", "run", "--", trainer, workflow=WORKFLOW + task_deadline)
        run = subprocess.Popen([RANKEXEC, "run", self.job], cwd=self.folder, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.stdout.close)
        self.addCleanup(run.stderr.close)
        self.addCleanup(run.wait)
        self.addCleanup(run.kill)
        return run, marker

    def test_what_nobody_reads_is_ended_at_its_deadline(self):
        run, _ = self.start_unread("task_deadline_seconds = 2")
        self.assertEqual(run.wait(PATIENCE), 124)
        self.assertIn("there is no result within 2.00 s", run.stderr.read())

    def test_what_nobody_reads_is_ended_by_an_interrupt(self):
        run, marker = self.start_unread("")
        while not os.path.exists(marker):
            self.assertIsNone(run.poll())
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        self.assertEqual(run.wait(PATIENCE), 130)

    def test_what_is_not_there(self):
        self.write_launched("no-such-program")
        done = self.run_job()
        self.assertEqual(done.returncode, 127)
        self.assertIn("job.toml: command: 'no-such-program'", done.stderr)

    def test_times_that_contradict_each_other(self):
        self.write_launched("sleep", "1", program="heartbeat_interval_seconds = 7\npeer_gone_after_seconds = 6")
        done = self.run_job()
        self.assertEqual(done.returncode, 2)
        for word in ("job.toml", "7", "6"):
            self.assertIn(word, done.stderr)

    def test_interrupt_ends_the_program(self):
        self.write_launched(RANKEXEC, "agent", "run", "--", self.write_trainer(extra="sleep 1000"))
        run = subprocess.Popen([RANKEXEC, "run", self.job], cwd=self.folder, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in run.stdout:
            if "in process" in line:
                break
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=PATIENCE)
        self.assertEqual(run.returncode, 130)

    def test_dry_run(self):
        self.write_launched("sleep", "1")
        done = self.run_job("--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("sleep 1", done.stdout)


class Attached(OutsideTest):
    def setUp(self):
        super().setUp()
        self.base = os.path.join(self.folder, "agents")
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=self.folder)

    def write_attached(self, agent="", workflow=WORKFLOW):
        self.write_job(f'executor = "ipc"\n[agent]\nid = "shell"\n{agent}\n{workflow}')

    def run_job(self, *words):
        return subprocess.run([RANKEXEC, "run", *words, self.job], cwd=self.folder, timeout=PATIENCE, check=False,
                              env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)

    def start_agent(self, extra=":"):
        return subprocess.Popen([RANKEXEC, "agent", "run", "--attach", "local/shell", "--", self.write_trainer(extra)],
                                cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_a_script_that_was_there_before_trains_and_ends_after_the_run(self):
        self.write_attached()
        with self.start_agent() as agent:
            done = self.run_job()
            output = agent.communicate(timeout=PATIENCE)[0]
        self.assertEqual(done.returncode, 0, done.stderr + output)
        self.assertEqual(done.stdout.splitlines()[-1], "held_out_accuracy=0.2000")
        self.assertIn("rank 0  train 2/2  loss 0.2", done.stdout.splitlines())
        self.assertEqual(agent.returncode, 0, output)

    def test_the_run_waits_for_a_script_that_comes_later(self):
        self.write_attached()
        with subprocess.Popen([RANKEXEC, "run", self.job], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as run, self.start_agent() as agent:
            self.assertEqual(run.communicate(timeout=PATIENCE)[0].splitlines()[-1], "held_out_accuracy=0.2000")
            agent.communicate(timeout=PATIENCE)
        self.assertEqual((run.returncode, agent.returncode), (0, 0))

    def test_a_script_that_is_killed_is_started_again_and_the_run_goes_on(self):
        self.write_attached()
        marker = os.path.join(self.folder, "hung")
        extra = f"if [ ! -e {marker} ]; then touch {marker}; sleep 1000; fi"
        with subprocess.Popen([RANKEXEC, "run", self.job], cwd=self.folder, env=self.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as run:
            with self.start_agent(extra) as agent:
                while not os.path.exists(marker):
                    self.assertIsNone(agent.poll())
                    time.sleep(0.05)
                agent.kill()
                agent.communicate(timeout=PATIENCE)
            with self.start_agent(extra) as agent:
                self.assertEqual(run.communicate(timeout=PATIENCE)[0].splitlines()[-1], "held_out_accuracy=0.2000")
                agent.communicate(timeout=PATIENCE)

    def test_nobody_there(self):
        self.write_attached(workflow=WORKFLOW + "task_deadline_seconds = 1\n")
        done = self.run_job("--json")
        outcome = self.outcome_of(done)
        self.assertEqual(outcome["failure"]["code"], "task_timeout")
        self.assertIn("agent local/shell is not there", outcome["failure"]["message"])

    def test_options_that_start_something_are_refused(self):
        self.write_attached()
        done = self.run_job("-n", "2")
        self.assertEqual(done.returncode, 2)
        self.assertIn('executor = "ipc"', done.stderr)


class Example(OutsideTest):
    """examples/numpy, as scripts/demo --all runs it."""

    def setUp(self):
        super().setUp()
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=self.folder)

    def check(self, job):
        done = subprocess.run([RANKEXEC, "run", os.path.join(EXAMPLES, "numpy", job)], cwd=self.folder, timeout=PATIENCE,
                              check=False, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertEqual(done.stderr, "")
        name, accuracy = done.stdout.splitlines()[-1].split("=")
        self.assertEqual(name, "held_out_accuracy")
        self.assertGreaterEqual(float(accuracy), 0.95)
        self.assertTrue(os.path.exists(os.path.join(self.folder, "numpy-model.npz")))

    def test_launched(self):
        self.check("job.toml")

    def test_attached(self):
        command = [RANKEXEC, "agent", "run", "--attach", "local/numpy", "--",
                   os.path.join(EXAMPLES, "numpy", "trainer.sh"), os.path.join(EXAMPLES, "digits", "digits.csv")]
        with subprocess.Popen(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as agent:
            self.check("attach.toml")
            output = agent.communicate(timeout=PATIENCE)[0]
        self.assertEqual(agent.returncode, 0, output)


if __name__ == "__main__":
    RANKEXEC = os.path.abspath(sys.argv.pop(1))
    EXAMPLES = os.path.abspath(sys.argv.pop(1))
    unittest.main()
