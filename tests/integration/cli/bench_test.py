# SPDX-License-Identifier: Apache-2.0
"""`rankexec bench` as a user sees it: bench_test.py RANKEXEC WORKER [unittest arguments]. No time is looked at."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

RANKEXEC = ""
WORKER = ""
PATIENCE = 250
FEW = ["--repetitions", "2", "--warm-up", "1", "--soak-time", "0.2"]
SCENARIOS = ["round-trip", "all-results", "hand-out", "fan-out", "gather", "events", "event-rate", "event-stream",
             "start", "stop", "death", "soak"]


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *words, code=0):
        done = subprocess.run([RANKEXEC, "bench", *words], cwd=self.folder, timeout=PATIENCE, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def figures(self, *words):
        return json.loads(self.bench(*FEW, "--json", "-", *words).stdout)["measurements"]

    def check(self, figure):
        """What every figure of ours has, whatever its size."""
        self.assertNotIn("failure", figure)
        order = ["minimum", "lower_quartile", "median", "upper_quartile", "p99", "maximum"]
        values = [figure[name] for name in order]
        self.assertEqual(values, sorted(values))
        self.assertGreater(values[0], 0)
        self.assertGreater(figure["samples"], 0)
        self.assertEqual(figure["subject"], "rankexec")
        self.assertGreater(figure["parent_peak_bytes"], 0)


class Scenarios(BenchTest):
    def every_scenario(self, transport):
        figures = self.figures("-n", "1,3", "--payload", "100,200000", "--scenario", ",".join(SCENARIOS), "--transport",
                               transport)
        self.assertEqual({figure["scenario"] for figure in figures}, set(SCENARIOS))
        self.assertEqual(len(figures), 2 * (len(SCENARIOS) + 3))
        for figure in figures:
            self.check(figure)
            self.assertEqual(figure["transport"], transport)
            self.assertEqual(figure["unit"], "events/s" if figure["scenario"] in ("event-rate", "event-stream") else "us")
            if figure["scenario"] in ("start", "stop", "death"):
                self.assertEqual(figure["samples"], 2)
            else:
                self.assertEqual(figure["channel"], "memory" if transport == "auto" else "ipc")
                self.assertGreater(figure["parent_cpu_us"], 0)
                self.assertGreaterEqual(figure["ranks_cpu_us"], 0)
                self.assertGreater(figure["rank_peak_bytes"], 0)

    def test_every_scenario_by_shared_memory(self):
        self.every_scenario("auto")

    def test_every_scenario_by_zeromq(self):
        self.every_scenario("zeromq")

    def test_tensors_built_in_place(self):
        figures = self.figures("-n", "2", "--payload", "300,2MiB", "--scenario", "hand-out,fan-out,gather", "--placement",
                               "ordinary,in-place")
        self.assertEqual(len(figures), 3 * 2 * 2)
        self.assertEqual(sum(figure["in_place"] for figure in figures), 6)
        for figure in figures:
            self.check(figure)

    def test_silence(self):
        figures = self.figures("-n", "1", "--scenario", "round-trip", "--silence", "0,1")
        self.assertEqual([figure["silence_us"] for figure in figures], [0, 1000])


class Reports(BenchTest):
    def test_table_json_html_and_plots(self):
        done = self.bench(*FEW, "-n", "1,2", "--scenario", "round-trip,fan-out", "--payload", "64,64KiB", "--json", "a.json",
                          "--html", "a.html", "--svg", "plots")
        self.assertEqual(done.stdout.splitlines()[0].split()[:3], ["scenario", "ranks", "payload"])
        self.assertEqual(len(done.stdout.splitlines()), 1 + 2 + 4)
        self.assertEqual(done.stderr, "")
        with open(self.path("a.json"), encoding="utf-8") as file:
            record = json.load(file)
        self.assertEqual((record["format"], record["format_version"]), ("rankexec-bench", 1))
        for name in ("rankexec", "time", "machine"):
            self.assertTrue(record[name])
        plots = sorted(os.listdir(self.path("plots")))
        self.assertEqual(plots, ["fan-out-64-B.svg", "fan-out-64-KiB.svg", "fan-out-over-bytes.svg", "round-trip.svg"])
        for plot in plots:
            root = xml.etree.ElementTree.parse(os.path.join(self.path("plots"), plot)).getroot()
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        with open(self.path("a.html"), encoding="utf-8") as file:
            html = file.read()
        body = xml.etree.ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>"))
        self.assertEqual(len(body.findall(".//{http://www.w3.org/2000/svg}svg")), 4)
        self.assertNotIn("<script", html)
        self.assertNotIn("http", html.replace('xmlns="http://www.w3.org/2000/svg"', ""))

    def test_comparison_with_an_earlier_run(self):
        self.bench(*FEW, "-n", "1", "--scenario", "round-trip", "--json", "old.json")
        with open(self.path("old.json"), encoding="utf-8") as file:
            record = json.load(file)
        for name in ("minimum", "lower_quartile", "median", "upper_quartile", "p99", "maximum"):
            record["measurements"][0][name] = 1e9
        with open(self.path("slow.json"), "w", encoding="utf-8") as file:
            json.dump(record, file)
        said = self.bench("--from", "old.json", "--compare", "slow.json").stdout
        self.assertIn("  better", said)
        self.assertIn("1 of 1 differences exceed the spread", said)
        said = self.bench("--from", "slow.json", "--compare", "old.json").stdout
        self.assertIn("  worse", said)
        said = self.bench("--from", "old.json", "--compare", "old.json").stdout
        self.assertIn("within the spread", said)
        self.assertIn("0 of 1 differences exceed the spread", said)


class OwnWorker(BenchTest):
    def test_worker_of_one_component(self):
        figures = self.figures("--worker", WORKER, "--task", "train", "--payload", "1KiB", "-n", "1,2")
        self.assertEqual([(figure["scenario"], figure["ranks"]) for figure in figures],
                         [(name, ranks) for name in ("task", "start", "stop") for ranks in (1, 2)])
        for figure in figures:
            self.check(figure)

    def write_job(self, args=""):
        with open(self.path("job.toml"), "w", encoding="utf-8") as file:
            file.write(f'[group]\nworker = ["{WORKER}"]\nexecutor = "it"\n[[components]]\nid = "it"\ntype = "*"\n'
                       f'args = {{ {args} }}\n')

    def test_job(self):
        self.write_job()
        figures = self.figures("--job", "job.toml", "--task", "train", "--all-results", "-n", "2", "--scenario", "task")
        self.check(figures[0])

    def test_a_task_that_fails(self):
        self.write_job('do = "throw", rank = 0')
        done = self.bench(*FEW, "--job", "job.toml", "--task", "train", "-n", "1", code=1)
        self.assertIn("the data are spoilt", done.stderr)
        self.assertIn("failed", done.stdout)
        self.assertIn("start ", done.stdout)

    def test_unknown_component(self):
        done = self.bench(*FEW, "--worker", WORKER, "--task", "t", "--component", "jop", "-n", "1", "--scenario", "task",
                          code=1)
        self.assertIn("did you mean \"job\"", done.stderr)

    def test_worker_that_is_missing(self):
        done = self.bench("--worker", "./absent", "--task", "t", code=127)
        self.assertIn("absent", done.stderr)
        self.assertEqual(done.stdout, "")


class Usage(BenchTest):
    def refuse(self, *words, says):
        done = self.bench(*words, code=2)
        self.assertIn(says, done.stderr)
        self.assertEqual(done.stdout, "")

    def test_files_that_cannot_be_used_are_told_first(self):
        self.refuse("--json", "absent/x.json", says="absent/x.json: No such file")
        self.refuse("--html", ".", says="is a directory")
        self.refuse("--compare", "absent.json", says="absent.json: No such file")
        with open(self.path("bad.json"), "w", encoding="utf-8") as file:
            file.write('{"format": "something"}')
        self.refuse("--from", "bad.json", says="bad.json: it is not what rankexec bench --json writes")

    def test_mistakes(self):
        self.refuse("--scenario", "round-trop", says="did you mean 'round-trip'")
        self.refuse("--jsn", "x", says="did you mean '--json'")

    def test_output_that_cannot_be_written(self):
        done = self.bench(*FEW, "-n", "1", "--scenario", "round-trip", "--json", "/dev/full", code=1)
        self.assertIn("/dev/full: No space left", done.stderr)

    def test_help(self):
        done = subprocess.run([RANKEXEC, "help", "bench"], stdout=subprocess.PIPE, text=True, check=True)
        for option in ("--scenario", "--compare", "--html", "--worker"):
            self.assertIn(option, done.stdout)


class Interrupts(BenchTest):
    """That nothing of the group is left is what the harness around this test checks."""

    def start(self, *words, errors=subprocess.PIPE):
        return subprocess.Popen([RANKEXEC, "bench", *words], cwd=self.folder, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=errors, text=True)

    def write_job(self, worker, args=""):
        os.mkfifo(self.path("said"))
        with open(self.path("job.toml"), "w", encoding="utf-8") as file:
            file.write(f'[group]\nworker = ["sh", "-c", "{worker}"]\nexecutor = "it"\ngrace_seconds = 0.1\n'
                       f'[[components]]\nid = "it"\ntype = "job"\nargs = {{ {args} }}\n')

    def interrupt(self, process, number, until):
        """When a rank has said `until` into the pipe."""
        with open(self.path("said"), encoding="utf-8") as said:
            for line in said:
                if until in line:
                    break
            os.kill(process.pid, number)
            _, errors = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 128 + number, errors)
        self.assertIn("ending the benchmark", errors)

    def test_in_the_middle_of_a_task(self):
        self.write_job(f"exec {WORKER} 2>said", 'do = "wait", rank = 0')
        process = self.start("--job", "job.toml", "--task", "train", "--scenario", "task", "-n", "1")
        self.interrupt(process, signal.SIGINT, "about to wait")

    def test_while_a_group_starts(self):
        self.write_job("echo started >said; exec sleep 1000")
        process = self.start("--job", "job.toml", "--scenario", "start", "-n", "1")
        self.interrupt(process, signal.SIGTERM, "started")

    def test_between_cases(self):
        terminal, ours = pty.openpty()
        process = self.start("--scenario", "death,soak", "-n", "2", "--repetitions", "1", "--soak-time", "1000", errors=ours)
        os.close(ours)
        seen = b""
        while b"2/2" not in seen:
            seen += os.read(terminal, 4096)
        os.kill(process.pid, signal.SIGINT)
        try:
            while True:
                seen += os.read(terminal, 4096)
        except OSError:
            pass  # the other end is closed
        os.close(terminal)
        self.assertEqual(process.wait(PATIENCE), 130, seen)
        self.assertIn(b"ending the benchmark", seen)


if __name__ == "__main__":
    RANKEXEC = os.path.abspath(sys.argv.pop(1))
    WORKER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
