# SPDX-License-Identifier: Apache-2.0
"""Controller, sites and users, each a process as people start it: jobs_test.py RANKEXEC EXAMPLES [unittest arguments]."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

RANKEXEC = ""
EXAMPLES = ""
PATIENCE = 100


class JobsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.home = os.path.join(self.folder, "controller")
        self.services = {}
        self.addCleanup(self.stop_all)

    # ---- processes

    def run_command(self, *words, code=0):
        done = subprocess.run([RANKEXEC, *words], cwd=self.folder, timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace")
        if code is not None:
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def serve(self, name, ready, *words):
        process = subprocess.Popen([RANKEXEC, *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.services[name] = process
        for line in process.stdout:
            found = re.search(ready, line)
            if found:
                return found
        self.fail(f"{name} has ended with {process.wait()}")
        return None

    def stop(self, name, number=signal.SIGTERM):
        process = self.services.pop(name)
        process.send_signal(number)
        process.wait(PATIENCE)
        process.stdout.close()
        return process.returncode

    def stop_all(self):
        for name in sorted(self.services, reverse=True):
            self.stop(name)

    def start_controller(self, *words, listen="tcp://127.0.0.1:*"):
        found = self.serve("controller", r"listens at (\S+)", "serve", "--home", self.home, "--listen", listen, *words)
        self.address = found[1]

    def start_site(self, name):
        self.serve(name, "is connected", "site", "--identity", f"{name}.site", "--controller", self.address, "--home",
                   f"home.{name}")

    def start_all(self, *words):
        self.start_controller(*words)
        for name in ("site-a", "site-b"):
            self.run_command("site", "enroll", name, "--home", self.home, "--controller", self.address)
            self.start_site(name)
        self.enroll("ada")

    def enroll(self, name, *words):
        self.run_command("user", "enroll", name, "--home", self.home, "--controller", self.address, *words)

    def job(self, verb, *words, code=0, user="ada"):
        return self.run_command("job", verb, *words, "--identity", f"{user}.user", code=code)

    def submit(self, *words, folder=None, code=0, user="ada"):
        done = self.job("submit", folder or self.write_job(), *words, "--json", code=code, user=user)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def record(self, job):
        return json.loads(self.job("show", job, "--json").stdout)["record"]

    # ---- jobs

    def write_job(self, text="", part="", rounds=2):
        """The federated example, with fewer rounds."""
        folder = os.path.join(self.folder, "job")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(EXAMPLES, "federated"), folder)
        path = os.path.join(folder, "job.toml")
        with open(path, encoding="utf-8") as file:
            job = file.read()
        job = re.sub(r"(?m)^rounds = .*$", f"rounds = {rounds}", job)
        job = re.sub(r"(?m)^alone_rounds = .*$", "alone_rounds = 0", job)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text or job)
        if part:
            with open(os.path.join(folder, "site-a", "part.toml"), "w", encoding="utf-8") as file:
                file.write(part)
        return folder


class Lifecycle(JobsTest):
    def test_an_abort_ends_it_and_the_next_one_runs(self):
        self.start_all()
        long = self.submit(folder=self.write_job(rounds=100000))["job"]
        self.serve("logs", "round 1", "job", "logs", "-f", long, "--identity", "ada.user")
        self.assertIn("active", self.job("delete", long, code=1).stderr)
        self.job("abort", long, "--reason", "changed my mind")
        self.job("wait", long, code=None)
        record = self.record(long)
        self.assertEqual(record["status"], "aborted")
        self.assertIn("changed my mind", record["reason"])
        following = self.submit()["job"]
        self.job("wait", following)
        self.assertEqual(self.record(following)["status"], "completed")

    def test_a_killed_controller_goes_on_with_its_job(self):
        self.start_all()
        job = self.submit(folder=self.write_job(rounds=6))["job"]
        self.serve("logs", "round 2", "job", "logs", "-f", job, "--identity", "ada.user")
        self.stop("controller", signal.SIGKILL)
        self.start_controller(listen=self.address)
        self.job("wait", job)
        record = self.record(job)
        self.assertEqual(record["status"], "completed", record["reason"])
        self.assertEqual(record["incarnation"], 2)


class Embedded(JobsTest):
    def test_the_example_reaches_its_accuracy(self):
        done = self.run_command("job", "run", os.path.join(EXAMPLES, "federated"))
        found = re.search(r"held_out_accuracy=(0\.\d+)", done.stdout)
        self.assertTrue(found, done.stdout)
        self.assertGreaterEqual(float(found[1]), 0.95)
        alone = [float(figure) for figure in re.findall(r"alone, after 8 rounds: accuracy (0\.\d+)", done.stderr)]
        self.assertEqual(len(alone), 2)
        self.assertGreater(float(found[1]), max(alone))
        self.assertIn("accuracy.svg", os.listdir(os.path.join(self.folder, "federated-digits-results")))

    def test_all_sites_are_there_before_it_is_scheduled(self):
        job = """name = "everywhere"
[[parts]]
folder = "site-a"
sites = ["@ALL"]
[workflow]
type = "fed_avg"
"""
        folder = self.write_job(job, part="nonsense = 1")  # it is deployed, and no more
        for _ in range(5):
            done = self.run_command("job", "run", "--results", "out", folder, code=1)
            self.assertIn("job_deployed: site-1, site-2", done.stderr)

    def test_an_interrupt_ends_all_of_it(self):
        self.serve("run", "trained", "job", "run", "--results", "out", self.write_job(rounds=100000))
        self.assertEqual(self.stop("run", signal.SIGINT), 130)

    def test_more_sites_than_one_process_takes_are_refused(self):
        folder = self.write_job()
        names = [word for number in range(65) for word in ("--site", f"s{number}")]
        done = self.run_command("job", "run", *names, folder, code=2)
        self.assertIn("has 65 sites", done.stderr)

    @staticmethod
    def is_pending(pid, number):
        """Two signals of a kind are one, as long as the first one is not taken."""
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            pending = re.search(r"(?m)^ShdPnd:\s*(\w+)", file.read())
        return int(pending[1], 16) >> (number - 1) & 1

    def test_a_second_interrupt_leaves_nothing(self):
        temporary = os.path.join(self.folder, "temporary")
        os.mkdir(temporary)
        process = subprocess.Popen([RANKEXEC, "job", "run", "--results", "out", self.write_job(rounds=100000)],
                                   cwd=self.folder, env=dict(os.environ, TMPDIR=temporary), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.services["run"] = process
        for line in process.stdout:
            if "trained" in line:
                break
        process.send_signal(signal.SIGINT)
        while self.is_pending(process.pid, signal.SIGINT):
            pass
        self.assertEqual(self.stop("run", signal.SIGINT), 128 + signal.SIGINT)
        # Guardians end the parts, and remove what those have made.
        deadline = time.monotonic() + PATIENCE
        while os.listdir(temporary) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(os.listdir(temporary), [])

    def test_a_folder_that_is_no_job_is_refused(self):
        self.assertIn("job.toml", self.run_command("job", "run", self.folder, code=2).stderr)


if __name__ == "__main__":
    RANKEXEC, EXAMPLES = sys.argv[1], sys.argv[2]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
