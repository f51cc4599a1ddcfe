# SPDX-License-Identifier: Apache-2.0
"""scripts/bench runs this after it has built everything; scripts/bench --help."""

import argparse
import json
import pathlib
import re
import subprocess
import sys

import goals
import plan
from figures import EXPECTED, Figures
from programs import Programs

BASELINE = pathlib.Path(__file__).resolve().parent.parent / "baseline.json"


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures limits, rankexec and peers in one run, "
                                     "in turn, and prints the table of goals.")
    parser.add_argument("--quick", action="store_true", help="a few minutes instead of a quarter of an hour")
    parser.add_argument("--only", metavar="PATTERN", help="measure only what has a name with this regular expression")
    parser.add_argument("--out", metavar="DIR", default="build/bench",
                        help="where bench.json, report.html and plots/ go (build/bench)")
    parser.add_argument("--rounds", type=int, help="how often everything is measured (3 quick, else 7)")
    parser.add_argument("--compare", metavar="OLD.json", help="an earlier bench.json to compare with")
    parser.add_argument("--update-baseline", action="store_true",
                        help="keep the ratios of this run in bench/baseline.json")
    parser.add_argument("--build", default="build/release", help=argparse.SUPPRESS)
    return parser.parse_args()


def read_baseline():
    return json.loads(BASELINE.read_text(encoding="utf-8"))["ratios"] if BASELINE.exists() else {}


def write_baseline(table, ratios):
    """`ratios` are those before; what was compared with a suspicious limit says nothing."""
    ratios |= {goals.key(row): round(row.ratio, 3) for row in table if row.ratio and "suspicious" not in row.verdict}
    text = {"about": "ratios to the limit, or to who is compared with, of a run of scripts/bench; less is better",
            "ratios": ratios}
    BASELINE.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


def write_record(programs, figures, table, out):
    """One file in the format of rankexec bench, with all that was measured."""
    command = [programs.bin / "rankexec", "bench", "--json", "-", "-n", "1", "--scenario", "stop", "--repetitions", "1"]
    empty = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    empty["measurements"] = figures.measurements()
    empty["goals"] = [row.as_json() for row in table]
    empty["limits"] = {name: {"median_us": figures.median(name), "rounds": figures.rounds[name],
                              "expected_us": EXPECTED.get(entry.expected), "suspicious": figures.suspicious(name)}
                       for name, entry in figures.entries.items() if entry.expected}
    file = out / "bench.json"
    file.write_text(json.dumps(empty, indent=1) + "\n", encoding="utf-8")
    return file


def print_notes(figures, table, baseline):
    bare, worker = figures.median("spawn bare 1"), figures.median("spawn worker 1")
    if bare and worker:
        print(f"one process: {goals.time_text(worker)} for the worker binary, {goals.time_text(bare)} for a bare "
              "C++ program")
    for name, what in (("ring codec rank0", "the round trip's limit, waiting for rank 0 alone"),
                       ("first tasks", "the first 300 tasks of a group, instead of its steady state")):
        times = [figures.median(f"{name} {ranks}") for ranks in (1, 4, 8)]
        if all(times):
            texts = [f"{goals.time_text(time)} at {ranks}" for time, ranks in zip(times, (1, 4, 8))]
            print(f"{what}: {', '.join(texts)}")
    for name in figures.entries:
        if figures.suspicious(name):
            print(f"limit suspicious: {name}: {goals.time_text(figures.median(name))}, expected about "
                  f"{goals.time_text(EXPECTED[name])}: is the machine busy, or another?")
    for name, why in figures.missing.items():
        print(f"skipped: {name}: {why}")
    for row in goals.regressions(table, baseline):
        print(f"regression: {goals.key(row)}: {row.ratio:.2f}x, baseline {baseline[goals.key(row)]:.2f}x")


def main():
    arguments = parse_arguments()
    programs = Programs(arguments.build)
    out = pathlib.Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    entries = [entry for entry in plan.entries(arguments.quick)
               if not arguments.only or re.search(arguments.only, entry.name)]
    figures = Figures(entries)
    figures.measure(programs, arguments.rounds or (3 if arguments.quick else 7))
    table = goals.rows(figures)
    baseline = read_baseline()
    goals.print_table(table, baseline)
    print_notes(figures, table, baseline)
    record = write_record(programs, figures, table, out)
    command = [programs.bin / "rankexec", "bench", "--from", record, "--html", out / "report.html", "--svg",
               out / "plots"]
    if arguments.compare:
        command += ["--compare", arguments.compare]
    done = subprocess.run(command, stdout=None if arguments.compare else subprocess.DEVNULL, check=False)
    if arguments.update_baseline:
        write_baseline(table, baseline)
    print(f"figures: {record}, report: {out / 'report.html'}, plots: {out / 'plots'}")
    return done.returncode


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
