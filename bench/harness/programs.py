# SPDX-License-Identifier: Apache-2.0
"""Runs the limit programs, `rankexec bench` and the peers; each gives figures in microseconds."""

import json
import os
import pathlib
import shutil
import subprocess

FOLDER = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 300


class Unavailable(Exception):
    """What cannot be measured here, and why."""


def output_of(command, **more):
    """Standard output of a program that must succeed."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False, **more)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["without a word"]
        raise Unavailable(f"{pathlib.Path(command[0]).name} ended with {done.returncode}: {last[0]}")
    return done.stdout


class Programs:
    def __init__(self, build):
        self.bin = pathlib.Path(build) / "bin"

    def limit(self, name, *words):
        """The median that a limit program prints."""
        return float(output_of([self.bin / f"rankexec-{name}-limit", *words]))

    def bare_start(self, count, rounds):
        return self.limit("spawn", count, rounds, self.bin / "rankexec-bare-program")

    def worker_start(self, count, rounds):
        return self.limit("spawn", count, rounds, self.bin / "rankexec-bench-worker", "--one-byte")

    def ours(self, *words, before=()):
        """The one measurement of a case; `before`: a command that runs ours."""
        text = output_of([*before, self.bin / "rankexec", "bench", "--json", "-", *words])
        measurement = json.loads(text)["measurements"][0]
        if "failure" in measurement:
            raise Unavailable(measurement["failure"])
        return measurement

    def ours_over_tcp(self, ranks, repetitions, before=()):
        if os.geteuid() != 0:
            raise Unavailable("only root can make ranks take this host for another one, so that they come over tcp")
        measurement = self.ours("--scenario", "round-trip", "-n", ranks, "--repetitions", repetitions, "--launcher",
                                "command", "--command-template", f"{FOLDER}/other_host {{n}} {{rank_program}}", before=before)
        if measurement["channel"] != "tcp+curve":
            raise Unavailable(f"the ranks came over {measurement['channel']}")
        return measurement

    def micro(self):
        """Nanoseconds by name."""
        text = output_of([self.bin / "rankexec-micro", "--benchmark_format=json", "--benchmark_min_time=0.05",
                          "--benchmark_filter=^(codec|msgpack_c)/100$"])
        return {entry["name"]: entry["cpu_time"] for entry in json.loads(text)["benchmarks"]}

    # ---- peers: a measurement as rankexec bench's JSON has it ----

    def python_peer(self, name, ranks, payload, repetitions):
        return json.loads(output_of(["/usr/bin/python3", FOLDER / "peers" / name, ranks, payload, repetitions]))

    def mpi(self, ranks, *words):
        mpirun = shutil.which("mpirun.openmpi")
        if mpirun is None:
            raise Unavailable("Open MPI is not installed (openmpi-bin)")
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        return json.loads(output_of([mpirun, "--oversubscribe", "-n", ranks + 1, *words], env=environment))

    def mpi4py(self, ranks, payload, repetitions):
        output_of(["/usr/bin/python3", "-c", "import mpi4py.futures"])
        return self.mpi(ranks, "/usr/bin/python3", "-m", "mpi4py.futures", FOLDER / "peers" / "mpi4py_pool.py", ranks,
                        payload, repetitions)

    def broadcast(self, ranks, payload, repetitions):
        program = self.bin / "rankexec-mpi-broadcast"
        if not program.exists():
            raise Unavailable("not built: there is no mpicxx.openmpi (libopenmpi-dev)")
        return self.mpi(ranks, program, payload, repetitions)
