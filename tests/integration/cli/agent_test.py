# SPDX-License-Identifier: Apache-2.0
"""`rankexec agent` as a program's author sees it: agent_test.py RANKEXEC AGENT_HOST [unittest arguments]."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

RANKEXEC = ""
HOST = ""
PATIENCE = 100


class Host:
    """An executor's end of the pipe, in a process of its own."""

    def __init__(self, form, folder):
        self.process = subprocess.Popen([HOST, form, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()

    def ask(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class AgentTest(unittest.TestCase):
    form = "credentials-file"

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="agent-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.host = Host(self.form, self.path("host"))
        self.addCleanup(self.host.close)
        self.started = None

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(text))
        return self.path(name)

    def start(self, script, *options, **variables):
        """`rankexec agent run` of a shell script, in which rankexec is a command."""
        program = self.write("program.sh", "set -u\n" + textwrap.dedent(script))
        return self.start_program(["/bin/sh", program], *options, **variables)

    def start_program(self, program, *options, **variables):
        environment = {**os.environ, "RANKEXEC_AGENT": self.host.address, **variables}
        self.started = subprocess.Popen(
            [RANKEXEC, "agent", "run", *options, "--", *program], cwd=self.folder, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.finish_started)
        return self.started

    def finish_started(self):
        if self.started.poll() is None:
            self.started.kill()
        self.started.wait()
        self.started.stdout.close()
        self.started.stderr.close()

    def finish(self):
        output, errors = self.started.communicate(timeout=PATIENCE)
        return self.started.returncode, output, errors

    def task(self, name="train", **result):
        """Gives a task with that result.json as its input."""
        self.write("input/result.json", json.dumps(result))
        return self.host.ask(do="task", name=name, input=self.path("input"))["id"]


class Tasks(AgentTest):
    def test_a_loop_in_the_shell(self):
        self.start("""
            while rankexec agent get-task --into task >/dev/null; do
                /usr/bin/python3 - <<'PYTHON' || exit 9
            import json, numpy
            task = json.load(open("task/task.json"))
            weights = numpy.load("task/" + task["tensors"]["a/b"]["file"])
            numpy.save("task/" + task["tensors"]["a/b"]["file"], weights.T * task["round"])
            json.dump({"headers": {"loss": 0.5, "task": task["name"]}, "body": task["body"]},
                      open("task/result.json", "w"))
            PYTHON
                rankexec agent submit-result task || exit 8
            done
            echo finished
            """)
        self.write("make.py", """
            import numpy, os
            os.makedirs("input", exist_ok=True)
            numpy.save("input/w.npy", numpy.arange(6, dtype="f4").reshape(2, 3))
            """)
        subprocess.run(["/usr/bin/python3", "make.py"], cwd=self.folder, check=True)
        for number in (1, 2, 3):
            task = self.task(headers={"round": number, "rounds": 3}, body={"rate": 0.25},
                             tensors={"a/b": {"file": "w.npy"}})
            reply = self.host.ask(do="save", into=self.path("output"))
            self.assertEqual((reply["kind"], reply["topic"], reply["request_id"]), ("reply", "train", task))
            self.assertEqual(reply["headers"], {"loss": 0.5, "task": "train"})
            self.assertEqual(reply["body"], {"rate": 0.25})
            self.assertEqual(reply["tensors"]["a/b"]["shape"], [3, 2])
            check = f"import numpy; a = numpy.load('output/{reply['tensors']['a/b']['file']}'); " \
                    f"assert a.tolist() == (numpy.arange(6).reshape(2, 3).T * {number}).tolist(), a"
            subprocess.run(["/usr/bin/python3", "-c", check], cwd=self.folder, check=True)
        self.host.ask(do="end", reason="the job is done")
        self.assertEqual(self.finish(), (0, "finished\n", ""))

    def test_the_task_is_printed_as_it_is_written(self):
        self.start("rankexec agent get-task --into task")
        self.task(headers={"round": 2}, body=[1, {"$real": "nan"}])
        code, output, errors = self.finish()
        self.assertEqual((code, errors), (0, ""))
        with open(self.path("task", "task.json"), encoding="utf-8") as file:
            self.assertEqual(output, file.read())
        task = json.loads(output)
        self.assertEqual((task["name"], task["round"], task["rounds"], task["tensors"]), ("train", 2, None, {}))
        self.assertEqual(task["body"], [1, {"$real": "nan"}])

    def test_a_failure_is_a_result(self):
        self.start("""
            rankexec agent get-task --into task >/dev/null || exit 9
            echo '{"code": "bad_task_data", "message": "no data"}' >task/result.json
            rankexec agent submit-result task
            """)
        self.task()
        reply = self.host.ask(do="next")
        self.assertEqual((reply["code"], reply["message"]), ("bad_task_data", "no data"))
        self.assertEqual(self.finish()[0], 0)

    def test_a_task_that_could_not_be_written_is_the_next_ones(self):
        self.start("""
            mkdir full; echo mine >full/data.npy
            rankexec agent get-task --into full; echo $?
            rankexec agent get-task --into task >/dev/full; echo $?
            rankexec agent get-task --into task >/dev/null; echo $?
            rankexec agent get-task --into task2; echo $?
            rankexec agent submit-result task
            """)
        task = self.task(body="kept")
        code, output, errors = self.finish()
        self.assertEqual((code, output), (1, "1\n1\n0\n1\n"), errors)
        self.assertIn("holds no earlier task", errors)
        self.assertIn("No space left on device", errors)
        self.assertIn("train is open", errors)
        self.assertIn("holds no result", errors)
        with open(self.path("task", "task.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["id"], task)

    def test_a_command_that_is_killed_while_it_waits_takes_no_task_along(self):
        self.start("""
            rankexec agent get-task --into task & waiting=$!
            rankexec agent get-task --into other --timeout 0.2; echo $?
            kill -KILL $waiting; wait $waiting
            touch killed
            rankexec agent get-task --into task >/dev/null; echo $?
            """)
        while not os.path.exists(self.path("killed")):
            if self.started.poll() is not None:
                self.fail(self.finish())
        self.task()
        self.assertEqual(self.finish()[:2], (0, "124\n0\n"))

    def test_a_bad_result_may_be_corrected(self):
        self.start("""
            rankexec agent get-task --into task >/dev/null || exit 9
            echo '{"header": 1}' >task/result.json
            rankexec agent submit-result task; echo $?
            echo nonsense >task/w.npy; echo '{}' >task/result.json
            rankexec agent submit-result task; echo $?
            rm task/w.npy
            rankexec agent submit-result task; echo $?
            rankexec agent submit-result task; echo $?
            """)
        self.task()
        self.assertEqual(self.host.ask(do="next")["code"], "ok")
        code, output, errors = self.finish()
        self.assertEqual((code, output), (0, "1\n1\n0\n1\n"))
        self.assertIn('"header" is unknown', errors)
        self.assertIn("w.npy: it is no .npy file", errors)
        self.assertIn("without a task", errors)


class Example(AgentTest):
    """examples/numpy as it is, with a workflow of two rounds."""

    def test_the_network_learns(self):
        examples = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "examples")
        self.start_program([os.path.join(examples, "numpy", "trainer.sh"),
                            os.path.join(examples, "digits", "digits.csv")], TMPDIR=self.folder)
        model = None
        for number in (1, 2):
            trained = self.round("train", model)
            self.assertEqual({name: entry["shape"] for name, entry in trained["tensors"].items()},
                             {"w1": [64, 64], "b1": [64], "w2": [64, 10], "b2": [10]})
            self.assertEqual(trained["logs"], [1, 2, 3])
            model = self.path("output")
            validated = self.round("validate", model)
            self.assertEqual(validated["body"]["samples"], 355)
        self.assertGreater(validated["body"]["accuracy"], 0.95)
        self.host.ask(do="end")
        self.assertEqual(self.finish()[0], 0)
        self.assertEqual([name for name in os.listdir(self.folder) if name.startswith("tmp.")], [])

    def round(self, name, model):
        if model is None:
            self.task(name)
        else:
            self.host.ask(do="task", name=name, input=model)
        logs = []
        while True:
            message = self.host.ask(do="save", into=self.path("output"))
            if message["kind"] == "reply":
                return {**message, "logs": [log["body"].get("epoch") for log in logs]}
            self.assertEqual((message["topic"], message["headers"]), ("log", {"type": "metric"}))
            logs.append(message)


class TasksOverFiles(Tasks):
    form = "files"


class TasksOverTcp(Tasks):
    form = "credentials"


class Codes(AgentTest):
    """What the commands exit with, and what they say."""

    def test_nothing_in_time(self):
        self.start("rankexec agent get-task --into task --timeout 0.05; exit $?")
        code, output, errors = self.finish()
        self.assertEqual((code, output), (124, ""))
        self.assertFalse(os.path.exists(self.path("task")))
        self.assertNotIn("get-task", errors)

    def test_closed(self):
        self.start("""
            rankexec agent get-task --into task >/dev/null
            rankexec agent get-task --into other; echo $?
            while rankexec agent log loss=1 2>/dev/null; do :; done
            echo '{}' >task/result.json
            rankexec agent get-task --into task; echo $?
            rankexec agent submit-result task; echo $?
            rankexec agent log loss=1; echo $?
            """)
        self.task()
        while self.host.ask(do="next")["topic"] != "log":
            pass
        self.host.ask(do="abort", reason="enough")
        code, output, errors = self.finish()
        self.assertEqual((code, output), (0, "1\n3\n3\n3\n"), errors)
        self.assertIn("the result was not taken: ", errors)

    def test_logs(self):
        self.start("rankexec agent log loss=0.5 epoch=3 last=true note=1st --type progress && "
                   "rankexec agent log loss=1e-3")
        log = self.host.ask(do="next")
        self.assertEqual((log["kind"], log["topic"], log["headers"]), ("request", "log", {"type": "progress"}))
        self.assertEqual(log["body"], {"loss": 0.5, "epoch": 3, "last": True, "note": "1st"})
        log = self.host.ask(do="next")
        self.assertEqual((log["headers"], log["body"]), ({"type": "metric"}, {"loss": 0.001}))
        self.assertEqual(self.finish()[0], 0)

    def run_alone(self, *words, **variables):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RANKEXEC_AGENT")}
        done = subprocess.run([RANKEXEC, "agent", *words], env={**environment, **variables}, timeout=PATIENCE,
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        return done.returncode, done.stdout, done.stderr

    def test_without_an_agent(self):
        for words in (["get-task", "--into", "x"], ["log", "a=1"]):
            code, _, errors = self.run_alone(*words)
            self.assertEqual(code, 1)
            self.assertIn("RANKEXEC_AGENT_SOCKET is not set", errors)
        code, _, errors = self.run_alone("log", "a=1", RANKEXEC_AGENT_SOCKET=self.path("nobody"))
        self.assertEqual(code, 1)
        self.assertIn("has ended", errors)

    def test_run_without_an_executor(self):
        code, _, errors = self.run_alone("run", "--", "true")
        self.assertEqual(code, 2)
        self.assertIn("RANKEXEC_AGENT is not set", errors)
        code, _, errors = self.run_alone("run", "--", "true", RANKEXEC_AGENT="somewhere")
        self.assertEqual(code, 2)
        code, _, errors = self.run_alone("run", "--", "true", RANKEXEC_AGENT="credentials-file:" + self.path("none"))
        self.assertEqual(code, 1)
        code, _, errors = self.run_alone("run", "--", "true", RANKEXEC_AGENT=self.host.address, RANK="3")
        self.assertEqual(code, 2)
        self.assertIn("rank 3", errors)
        code, _, errors = self.run_alone("run", "--", "no-such-program", RANKEXEC_AGENT=self.host.address)
        self.assertEqual(code, 127)

    def test_mistakes(self):
        for words, said in ((["run"], "no program"), (["run", "--"], "no program"), (["get-task"], "--into DIR"),
                            (["get-task", "--into"], "value is missing"),
                            (["get-task", "--into", "x", "--timeout", "0"], "above 0"),
                            (["get-task", "--into", "x", "--timeout", "soon"], "'soon'"),
                            (["submit-result"], "no folder"), (["submit-result", "a", "b"], "'b'"),
                            (["log"], "no figures"), (["log", "loss"], "NAME=VALUE"), (["log", "=1"], "NAME=VALUE"),
                            (["log", "a=1", "a=2"], "twice"), (["get-tsak"], "did you mean 'get-task'"),
                            (["get-task", "--int", "x"], "--int"), (["run", "--colour", "--", "true"], "--colour")):
            code, output, errors = self.run_alone(*words)
            self.assertEqual((code, output), (2, ""), words)
            self.assertIn(said, errors, words)
        for words in ([], ["--help"], ["get-task", "--help"]):
            code, output, _ = self.run_alone(*words)
            self.assertEqual(code, 0)
            self.assertIn("get-task", output)


class Ends(AgentTest):
    """The program and the agent end together."""

    def test_the_programs_exit_code_is_passed_on(self):
        self.start("exit 7")
        code, _, errors = self.finish()
        self.assertEqual(code, 7)
        self.assertIn("exit code 7", errors)
        self.assertEqual(self.host.ask(do="next")["topic"], "_END_")

    def test_a_signal_is_passed_on(self):
        self.start("kill -SEGV $$")
        self.assertEqual(self.finish()[0], 128 + signal.SIGSEGV)

    def test_a_program_that_goes_on_is_ended(self):
        self.start("(trap '' TERM; echo ready; while :; do sleep 1000; done) & trap '' TERM; wait; wait",
                   "--end-timeout", "0.1", "--grace", "0.1")
        self.assertEqual(self.started.stdout.readline(), "ready\n")
        self.host.ask(do="end", reason="the job is done")
        code, _, errors = self.finish()
        self.assertEqual(code, 124)
        self.assertIn("the job is done, and the program has not ended", errors)

    def test_a_program_that_ends_by_itself_has_time_for_it(self):
        self.start("rankexec agent get-task --into task; sleep 0.3; echo saved; exit 5")
        self.host.ask(do="end", reason="done")
        code, output, _ = self.finish()
        self.assertEqual((code, output), (5, "saved\n"))

    def test_an_executor_that_is_gone_ends_the_program(self):
        self.start("echo ready; sleep 1000", "--end-timeout", "0", "--grace", "0.1")
        self.assertEqual(self.started.stdout.readline(), "ready\n")
        self.host.process.kill()
        code, _, errors = self.finish()
        self.assertEqual(code, 124)
        self.assertIn("the executor is gone", errors)
        shutil.rmtree(self.path("host"), ignore_errors=True)

    def test_nothing_survives_the_command(self):
        program = self.start("echo $$; sleep 1000 & sleep 1000", XDG_RUNTIME_DIR=self.folder)
        descriptor = os.pidfd_open(int(program.stdout.readline()))
        self.addCleanup(os.close, descriptor)
        program.kill()
        end = select.poll()
        end.register(descriptor, select.POLLIN)
        self.assertTrue(end.poll(PATIENCE * 1000))
        # The folder of its socket is removed by another process, which is nobody's to wait for.
        deadline = time.monotonic() + PATIENCE
        while [name for name in os.listdir(self.folder) if name.startswith("rx-")]:
            self.assertLess(time.monotonic(), deadline, os.listdir(self.folder))
            time.sleep(0.05)

    def test_control_c_reaches_the_program(self):
        program = self.start("trap 'echo asked; exit 0' INT TERM; echo ready; while :; do sleep 0.1; done")
        self.assertEqual(program.stdout.readline(), "ready\n")
        program.send_signal(signal.SIGINT)
        code, output, _ = self.finish()
        self.assertEqual((code, output), (130, "asked\n"))

    def test_the_address_is_not_passed_on(self):
        self.start('echo "${RANKEXEC_AGENT-none}"; [ -S "$RANKEXEC_AGENT_SOCKET" ] && '
                   'stat -c %a "$(dirname "$RANKEXEC_AGENT_SOCKET")"')
        self.assertEqual(self.finish()[:2], (0, "none\n700\n"))


if __name__ == "__main__":
    RANKEXEC, HOST = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
