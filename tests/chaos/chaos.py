#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Does to groups what must not harm them, and counts what it did: one line per gate.

    chaos.py --build FOLDER [--short | --ci | --full] [--gate NAME]... [--seed N] [--jobs N] [--state FILE]

Exits with 1 when any gate failed. With --state, gates that have been done are not done again. Each
round runs in namespaces of its own (no_leftovers); what it leaves there, whatever it is called, is a
failure. A failed round is printed with the command that repeats it.
"""

import argparse
import concurrent.futures
import json
import os
import random
import shlex
import subprocess
import sys
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
from gates import GATES

USER = 54321  # nobody else's on any sane machine
SHOWN_FAILURES = 5
REPORT = "sanitizer-report"  # as no_leftovers names the files
SCALES = {"short": 0.005, "ci": 0.1, "full": 1}  # of what is counted within a round


# What tests get from their own CMakeLists.txt, for gates that are run by hand.
SANITIZERS = {
    "ASAN_OPTIONS": "handle_segv=0:handle_abort=0:detect_leaks=1:exitcode=66",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "LSAN_OPTIONS": "suppressions={support}/lsan.supp:print_suppressions=0",
    "TSAN_OPTIONS": "atexit_sleep_ms=50:handle_segv=0:handle_abort=0:halt_on_error=1:exitcode=66:suppressions={support}/tsan.supp",
}


def harness_options(build):
    """What no_leftovers needs to see the reports of all programs of a sanitized build; other builds need nothing."""
    with open(os.path.join(build, "CMakeCache.txt"), encoding="utf-8") as cache:
        flags = next((line for line in cache if line.startswith("CMAKE_CXX_FLAGS:")), "")
    options = ["--reports"] if "-fsanitize=" in flags else []
    return options + (["--no-aslr"] if "-fsanitize=thread" in flags else [])


class Runner:
    """Runs rounds with the programs of one build folder."""

    def __init__(self, build, source, form):
        self.build = build
        self.scale = SCALES[form]
        self.environment = dict(os.environ, RANKEXEC_PROGRAM_DIR=os.path.join(build, "bin"))
        for name, options in SANITIZERS.items():
            self.environment.setdefault(name, options.format(support=os.path.join(source, "tests/support")))
        self.harness = harness_options(build)
        self.source = source

    def command(self, gate, number, seed):
        """The command of one round."""
        forms = gate.forms()
        arguments = forms[number % len(forms)]
        command = [os.path.join(self.build, "bin/no_leftovers")]
        for kept in (self.source, self.build):
            command += ["--keep", kept]
        if os.getuid() == 0:
            command += ["--private-net", "--searchable"]
        command += [*self.harness, "--settle", "1000", "--", *gate.prefix]
        # Not in step with the transports, of which each form's two stand beside each other.
        turn = number // 2 + number // len(forms)
        if os.getuid() == 0 and gate.as_user and turn % 2 == 1:
            command += ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        return command + [os.path.join(self.build, "bin/chaos_round"), *arguments, "--seed", str(seed), "--scale", str(self.scale)]

    def run(self, gate, number, seed):
        """One round: what was wrong (empty: nothing), and its figures."""
        command = self.command(gate, number, seed)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            text=True,
            errors="replace",
        ) as process:
            try:
                output, errors = process.communicate(timeout=gate.timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return f"not over after {gate.timeout} s", {}, command
        lines = output.strip().splitlines()
        try:
            outcome = json.loads(lines[-1])
        except (IndexError, ValueError):
            return f"exit code {process.returncode}, no outcome: {output[-500:]} {errors[-1500:]}", {}, command
        wrong = outcome["wrong"]
        if not wrong and process.returncode != 0:
            wrong = f"exit code {process.returncode}: {errors[-1500:]}"
        elif REPORT in errors:
            wrong += f" {errors[-6000:]}"
        return wrong, outcome["figures"], command


def percentile(values, share):
    """The smallest value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1000) // 1000) - 1))]


def summary(figures):
    """Of each figure its median, 99th percentile and greatest value."""
    parts = []
    for name in sorted(figures):
        values = figures[name]
        label, unit = name.rsplit("_", 1)
        shown = [f"{percentile(values, share):.1f}" for share in (0.5, 0.99)] + [f"{max(values):.1f}"]
        parts.append(f"{label.replace('_', ' ')} p50/p99/max {'/'.join(shown)} {unit} ({len(values)})")
    return "; ".join(parts)


def exceeded(gate, figures):
    """Which of the gate's figures have a median beyond their bound."""
    return [
        f"the median of {name} is {percentile(figures[name], 0.5):.1f}, over {most}"
        for name, most in gate.bounds
        if name in figures and percentile(figures[name], 0.5) > most
    ]


def run_gate(gate, form, runner, options):
    """Runs all rounds of a gate and prints its line; True when all held."""
    rounds = gate.rounds(form)
    dice = random.Random(f"{options.seed} {gate.name}")
    seeds = [dice.getrandbits(48) for _ in range(rounds)]
    figures, failures = {}, []
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(1 if gate.alone else options.jobs) as pool:
        for wrong, seen, command in pool.map(lambda number: runner.run(gate, number, seeds[number]), range(rounds)):
            for name, value in seen.items():
                figures.setdefault(name, []).append(value)
            if wrong:
                failures.append((wrong, command))
    slow = exceeded(gate, figures) if options.form != "short" else []
    verdict = "FAILED" if failures or slow else "ok"
    line = f"{verdict:7} {gate.name:22} {rounds - len(failures):5} of {rounds:<5} {gate.what}"
    print(f"{line}; {summary(figures)} [{time.monotonic() - begin:.0f} s]", flush=True)
    for wrong, command in failures[:SHOWN_FAILURES]:
        print(f"        {wrong}\n        again: {shlex.join(command)}", flush=True)
    for text in slow:
        print(f"        {text}", flush=True)
    return not failures and not slow


def parse(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description="Does to groups what must not harm them.")
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--short", dest="form", action="store_const", const="short", help="a few rounds of each gate")
    form.add_argument("--ci", dest="form", action="store_const", const="ci", help="a tenth of all rounds (default)")
    form.add_argument("--full", dest="form", action="store_const", const="full", help="all rounds")
    parser.add_argument("--gate", action="append", choices=[gate.name for gate in GATES], help="only this one")
    parser.add_argument("--seed", default=str(random.getrandbits(32)), help="of the dice; a random one without")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="rounds at the same time")
    parser.add_argument("--state", help="file that remembers which gates have held, to go on after an interruption")
    parser.add_argument("--list", action="store_true", help="say which gates there are, and do nothing")
    parser.add_argument("--names", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(form="ci")
    return parser.parse_args(arguments)


def main(arguments):
    """Runs the gates that were asked for."""
    options = parse(arguments)
    gates = [gate for gate in GATES if not options.gate or gate.name in options.gate]
    if options.names:
        print(";".join(gate.name for gate in gates), end="")
        return 0
    if options.list:
        for gate in gates:
            print(f"{gate.name:22} {gate.rounds(options.form):5} rounds: {gate.what}")
        return 0
    source = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../.."))
    runner = Runner(os.path.realpath(options.build), source, options.form)
    done = {}
    if options.state and os.path.exists(options.state):
        with open(options.state, encoding="utf-8") as file:
            done = json.load(file)
    print(f"seed {options.seed}", flush=True)
    failed = []
    for gate in gates:
        if done.get(gate.name, 0) >= gate.rounds(options.form):
            print(f"done    {gate.name}", flush=True)
            continue
        if not run_gate(gate, options.form, runner, options):
            failed.append(gate.name)
            continue
        done[gate.name] = gate.rounds(options.form)
        if options.state:
            with open(options.state, "w", encoding="utf-8") as file:
                json.dump(done, file)
    print(f"failed: {' '.join(failed)}" if failed else "all gates held", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
