# SPDX-License-Identifier: Apache-2.0
"""Users, sites and a controller, each as the command of its own that it is: job_test.py RANKEXEC JOB [unittest arguments].

JOB is a folder with a job of the sites site-a and site-b that runs for some seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest

RANKEXEC = ""
JOB = ""
PATIENCE = 200


class JobTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.environment = dict(os.environ, HOME=self.folder)
        self.environment.pop("RANKEXEC_IDENTITY", None)
        self.endpoint = "ipc://" + os.path.join(self.folder, "hub")
        self.running = []
        self.addCleanup(self.end_all)

    def end_all(self):
        for process in reversed(self.running):
            if process.poll() is None:
                process.terminate()
            process.wait(PATIENCE)
            process.stdout.close()

    def run_command(self, *words, user=None, exit_code=0):
        environment = dict(self.environment)
        if user:
            environment["RANKEXEC_IDENTITY"] = os.path.join(self.folder, user + ".user")
        result = subprocess.run([RANKEXEC, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(result.returncode, exit_code, result.stdout + result.stderr)
        return result

    def enroll(self, role, name, *more):
        return self.run_command(role, "enroll", name, "--home", "ctl", "--controller", self.endpoint, *more)

    def start(self, expected, *words):
        process = subprocess.Popen([RANKEXEC, *words], cwd=self.folder, env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        for line in process.stdout:
            if expected in line:
                return process
        self.fail(" ".join(words) + " has ended")

    def start_controller(self, *more):
        return self.start("listens", "serve", "--home", "ctl", "--listen", self.endpoint, *more)

    def start_site(self, name, *more):
        return self.start("is connected", "site", "--identity", name + ".site", "--home", "work-" + name, "--cores", "4",
                          "--memory", "4000", "--gpus", "none", *more)

    def start_all(self):
        self.enroll("user", "alice")
        self.enroll("site", "site-a")
        self.enroll("site", "site-b")
        controller = self.start_controller()
        self.start_site("site-a")
        self.start_site("site-b")
        return controller

    def job(self, *words, user="alice", exit_code=0):
        return self.run_command("job", *words, user=user, exit_code=exit_code)

    def json_of(self, *words, user="alice", exit_code=0):
        return json.loads(self.job(*words, "--json", user=user, exit_code=exit_code).stdout)


class Service(JobTest):
    def test_a_job_from_submit_to_delete(self):
        self.start_all()
        job = self.job("submit", JOB).stdout.strip()
        self.assertRegex(job, "^[0-9a-f]{32}$")
        self.assertIn(job[:8], self.job("list").stdout)
        # From before there is anything to follow, until there is no more.
        followed = [
            subprocess.Popen([RANKEXEC, "job", "logs", "-f", job, "--identity", "alice.user", *whose], cwd=self.folder,
                             env=self.environment, stdout=subprocess.PIPE, text=True)
            for whose in ((), ("--participant", "site-a"))
        ]
        waited = self.job("wait", job)
        self.assertIn("completed after", waited.stdout)
        log, log_of_site = (process.communicate(timeout=PATIENCE)[0] for process in followed)
        self.assertEqual([process.returncode for process in followed], [0, 0])
        self.assertIn("held_out_accuracy=", log)
        self.assertEqual(log, self.job("logs", job).stdout)
        self.assertIn("rank 1", log_of_site)
        self.assertEqual(log_of_site, self.job("logs", job, "--participant", "site-a").stdout)
        page = self.job("show", job[:12]).stdout
        for word in (job, "completed", "site-a, site-b", "by alice", "held_out_accuracy", "job_started"):
            self.assertIn(word, page)
        shown = self.json_of("show", job)
        self.assertEqual(shown["record"]["status"], "completed")
        place = self.job("download", job).stdout.strip()
        self.assertTrue(os.path.exists(os.path.join(place, "results", "summary.txt")))
        self.job("download", job, exit_code=2)  # it is there
        with open(os.path.join(self.folder, "mine.tar.gz"), "w", encoding="utf-8") as file:
            file.write("something else")
        self.job("download", job, "--into", "mine/")
        with open(os.path.join(self.folder, "mine.tar.gz"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "something else")
        self.assertIn("nothing can be written in nowhere",
                      self.job("download", job, "--into", "nowhere/results", exit_code=1).stderr)
        self.job("download", job, "--archive", "--into", "all.tar.gz")
        with tarfile.open(os.path.join(self.folder, "all.tar.gz")) as archive:
            self.assertIn("controller.log", [name.removeprefix("./") for name in archive.getnames()])
        self.assertEqual(self.json_of("delete", job)["deleted"], True)
        self.assertIn("there is no job", self.job("show", job, exit_code=1).stderr)
        self.assertEqual(self.job("list").stdout, "no jobs\n")

    def test_a_submission_that_is_interrupted_leaves_nothing(self):
        self.enroll("user", "alice")
        self.start_controller()
        folder = os.path.join(self.folder, "large")
        shutil.copytree(JOB, folder)
        with open(os.path.join(folder, "site-a", "data"), "wb") as file:
            file.write(os.urandom(100 << 20))
        place = os.path.join(self.folder, "temporary")
        os.mkdir(place)
        process = subprocess.Popen([RANKEXEC, "job", "submit", folder, "--identity", "alice.user"], cwd=self.folder,
                                   env=dict(self.environment, TMPDIR=place), stdout=subprocess.DEVNULL)
        while not os.listdir(place):
            self.assertIsNone(process.poll())
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), 130)
        self.assertEqual(os.listdir(place), [])

    def test_a_controller_that_is_suspended_goes_on(self):
        controller = self.start_all()
        controller.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(controller.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status), status)
        controller.send_signal(signal.SIGCONT)
        self.assertEqual(self.job("list").stdout, "no jobs\n")

    def test_the_same_token_is_one_job(self):
        self.start_all()
        first = self.json_of("submit", JOB, "--token", "nightly")["job"]
        self.assertEqual(self.json_of("submit", JOB, "--token", "nightly")["job"], first)
        self.assertEqual(len(self.json_of("list")), 1)
        self.job("abort", first)

    def test_abort_and_who_may(self):
        self.start_all()
        self.enroll("user", "bob", "--may", "none")
        job = self.job("submit", JOB).stdout.strip()
        self.assertIn("may not submit", self.job("submit", JOB, user="bob", exit_code=1).stderr)
        self.assertIn("may not abort", self.job("abort", job, user="bob", exit_code=1).stderr)
        self.assertIn("may not delete", self.job("delete", job, user="bob", exit_code=1).stderr)
        self.assertIn(job[:8], self.job("list", user="bob").stdout)
        self.job("abort", job, "--reason", "enough")
        waited = self.job("wait", job, exit_code=1)
        self.assertIn("aborted", waited.stdout)
        self.assertIn("enough", waited.stdout)
        self.assertIn("has ended already", self.job("abort", job, exit_code=1).stderr)
        self.job("delete", job)  # nothing of it is under way any more

    def test_a_job_waits_for_a_site_that_is_not_there_and_says_so(self):
        self.enroll("user", "alice")
        self.enroll("site", "site-a")
        self.enroll("site", "site-b")
        self.start_controller()
        self.start_site("site-a")
        job = self.job("submit", JOB).stdout.strip()
        self.assertIn("is still submitted", self.job("wait", job, "--timeout", "0.2", exit_code=124).stderr)
        self.assertIn("1 of at least 2 sites are connected, attempt 1 of 10", self.job("show", job).stdout)
        table = self.job("sites").stdout
        self.assertRegex(table, "site-a +connected")
        self.start_site("site-b")
        self.job("wait", job)

    def test_waiting_goes_on_when_the_controller_is_killed_and_comes_back(self):
        controller = self.start_all()
        job = self.job("submit", JOB).stdout.strip()
        waiting = subprocess.Popen([RANKEXEC, "job", "wait", job, "--identity", "alice.user"], cwd=self.folder,
                                   env=self.environment, stdout=subprocess.PIPE, text=True)
        while "round 2/" not in self.job("show", job).stdout:
            pass
        controller.send_signal(signal.SIGKILL)
        controller.wait(PATIENCE)
        self.start_controller()
        output, _ = waiting.communicate(timeout=PATIENCE)
        self.assertEqual((waiting.returncode, "completed" in output), (0, True), output)


class Slurm(JobTest):
    """Beside a Slurm of two nodes: support/slurm/with_slurm. Each part is a Slurm job on both, its ranks a step of it."""

    def setUp(self):
        super().setUp()
        self.copy = os.path.join(self.folder, "in-slurm")
        shutil.copytree(JOB, self.copy)
        self.edit("job.toml", "cores = 2", "cores = 1")
        for site in ("site-a", "site-b"):
            self.edit(site + "/part.toml", "ranks = 2", "ranks = 2\nlauncher = \"srun\"")
        self.enroll("user", "alice")
        self.start_controller()
        self.sites = {}
        for name in ("site-a", "site-b"):
            self.enroll("site", name)
            self.start_slurm_site(name)
        self.slurm_jobs_before = self.slurm_jobs()

    def edit(self, file, old, new):
        path = os.path.join(self.copy, file)
        with open(path, encoding="utf-8") as source:
            text = source.read()
        self.assertIn(old, text)
        with open(path, "w", encoding="utf-8") as target:
            target.write(text.replace(old, new))

    def start_slurm_site(self, name):
        self.sites[name] = self.start_site(name, "--backend", "slurm", "--sbatch-arg=--nodes=2",
                                           "--sbatch-arg=--ntasks=2", "--sbatch-arg=--oversubscribe",
                                           "--sbatch-arg=--time=5")

    @staticmethod
    def slurm_jobs():
        """{id: state} of all that Slurm remembers."""
        output = subprocess.run(["squeue", "--noheader", "--states=all", "--format=%A|%j|%T"], capture_output=True,
                                text=True, timeout=PATIENCE, check=True).stdout
        fields = [line.split("|") for line in output.splitlines()]
        return {job: state for job, name, state in fields if name.startswith("rankexec-")}

    def new_slurm_jobs(self):
        return {job: state for job, state in self.slurm_jobs().items() if job not in self.slurm_jobs_before}

    def submit(self):
        return self.job("submit", "in-slurm").stdout.strip()

    def until_round(self, number, job):
        while f"round {number}/" not in self.job("show", job).stdout:
            self.assertIn(self.json_of("show", job)["record"]["status"], ("submitted", "dispatched", "running"))

    def test_the_parts_are_slurm_jobs_and_their_ranks_are_steps_of_them(self):
        job = self.submit()
        self.job("wait", job)
        self.assertEqual(list(self.new_slurm_jobs().values()), ["COMPLETED", "COMPLETED"])
        self.assertRegex(self.job("logs", job).stdout, r"held_out_accuracy=0\.9[5-9]")
        for site in ("site-a", "site-b"):
            log = self.job("logs", job, "--participant", site).stdout
            self.assertIn("rank 0", log)
            self.assertIn("rank 1", log)

    def test_a_site_that_is_killed_finds_its_part_again(self):
        job = self.submit()
        self.until_round(2, job)
        self.sites["site-a"].kill()
        self.sites["site-a"].wait(PATIENCE)
        self.start_slurm_site("site-a")
        self.job("wait", job)
        self.assertEqual(list(self.new_slurm_jobs().values()), ["COMPLETED", "COMPLETED"])

    def test_an_abort_cancels_what_is_its_own(self):
        other = subprocess.run(["sbatch", "--parsable", "--job-name=rankexec-other", "--output=/dev/null",
                                "--oversubscribe", "--wrap=sleep 1000"], capture_output=True, text=True,
                               timeout=PATIENCE, check=True).stdout.strip()
        self.addCleanup(subprocess.run, ["scancel", other], timeout=PATIENCE, check=True)
        job = self.submit()
        self.until_round(1, job)
        self.job("abort", job)
        self.assertIn("aborted", self.job("wait", job, exit_code=1).stdout)
        states = self.new_slurm_jobs()
        self.assertIn(states.pop(other), ("PENDING", "RUNNING"))
        self.assertEqual(len(states), 2)
        # They may have obeyed before they were cancelled.
        self.assertLessEqual(set(states.values()), {"CANCELLED", "COMPLETED", "FAILED"})


class Refused(JobTest):
    def test_identities(self):
        self.enroll("user", "alice")
        self.enroll("site", "site-a")
        self.assertIn("no controller answers", self.job("list", exit_code=125).stderr)
        self.assertIn("who are you?", self.job("list", user=None, exit_code=2).stderr)
        self.assertIn("not of a user", self.job("list", "--identity", "site-a.site", user=None, exit_code=2).stderr)
        # Of another controller at the same place.
        self.run_command("user", "enroll", "mallory", "--home", "other", "--controller", self.endpoint)
        self.start_controller()
        self.assertIn("refuses user mallory", self.job("list", user="mallory", exit_code=125).stderr)
        self.job("list")

    def test_a_user_is_enrolled_once(self):
        self.enroll("user", "alice")
        self.run_command("user", "enroll", "alice", "--home", "ctl", "--out", "again.user", exit_code=1)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "again.user")))
        self.run_command("user", "enroll", "alice", "--home", "ctl", "--out", "again.user", "--replace")

    def test_jobs_that_are_none(self):
        self.enroll("user", "alice")
        self.start_controller()
        self.assertIn("there is no job at nothing", self.job("submit", "nothing", exit_code=2).stderr)
        os.mkdir(os.path.join(self.folder, "empty"))
        self.assertIn("empty", self.job("submit", "empty", exit_code=2).stderr)
        bad = os.path.join(self.folder, "bad")
        shutil.copytree(JOB, bad)
        with open(os.path.join(bad, "job.toml"), "w", encoding="utf-8") as file:
            file.write('name = "bad"\nnonsense = 1\n')
        self.assertIn("bad/job.toml:", self.job("submit", "bad", exit_code=2).stderr)
        os.symlink("/etc/passwd", os.path.join(bad, "link"))
        self.assertIn("link", self.job("submit", "bad", exit_code=2).stderr)
        self.assertEqual(self.job("list").stdout, "no jobs\n")
        self.assertEqual([name for name in os.listdir(tempfile.gettempdir()) if name.endswith(".tar.gz")], [])

    def test_a_bundle_above_the_limit(self):
        self.enroll("user", "alice")
        self.start_controller("--max-bundle", "1")
        large = os.path.join(self.folder, "large")
        shutil.copytree(JOB, large)
        with open(os.path.join(large, "noise"), "wb") as file:
            file.write(os.urandom(2 << 20))
        self.assertIn("takes 1048576 at most", self.job("submit", "large", exit_code=1).stderr)

    def test_usage(self):
        for words, said in ((["submti"], "did you mean 'submit'?"), (["show"], "no job; give one"),
                            (["show", "../x"], "'../x' is no job"), (["list", "--status", "runing"], "'running'"),
                            (["list", "more"], "'more' is not expected"), (["wait", "0", "--timeout", "x"], "--timeout")):
            with self.subTest(words=words):
                self.assertIn(said, self.job(*words, exit_code=2).stderr)
        self.assertIn("no name", self.run_command("user", "enroll", exit_code=2).stderr)
        self.assertIn("the name '../x'", self.run_command("site", "enroll", "../x", exit_code=2).stderr)
        self.assertIn("download", self.job("--help").stdout)


if __name__ == "__main__":
    RANKEXEC, JOB = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
