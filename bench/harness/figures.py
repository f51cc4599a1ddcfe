# SPDX-License-Identifier: Apache-2.0
"""The figures of a run: all entries in turn, again and again, so that whatever changes on the machine meets all."""

import json
import pathlib
import statistics
import sys

from programs import Unavailable

EXPECTED = json.loads((pathlib.Path(__file__).parent / "expected.json").read_text(encoding="utf-8"))["figures"]


class Figures:
    def __init__(self, entries):
        self.entries = {entry.name: entry for entry in entries}
        assert len(self.entries) == len(entries), "two entries have the same name"
        self.rounds = {name: [] for name in self.entries}   # microseconds of each round
        self.details = {name: [] for name in self.entries}  # measurements of rankexec bench and of peers
        self.missing = {}                                   # why there is none
        self.codec = []                                     # ratio of each round

    def measure(self, programs, rounds):
        total = len(self.entries) + 1
        for turn in range(rounds):
            for number, entry in enumerate(self.entries.values()):
                show(f"round {turn + 1}/{rounds}  {number + 1}/{total}  {entry.name}")
                if entry.name not in self.missing and not (entry.rounds and turn >= entry.rounds):
                    self.measure_once(entry, programs)
            show(f"round {turn + 1}/{rounds}  {total}/{total}  codec")
            times = programs.micro()
            self.codec.append((times["codec/100"], times["msgpack_c/100"]))
        show("")

    def measure_once(self, entry, programs):
        try:
            figure = entry.measure(programs)
        except Unavailable as why:
            self.missing[entry.name] = str(why)
            return
        if isinstance(figure, dict):
            self.details[entry.name].append(figure)
            figure = figure["median"]
        self.rounds[entry.name].append(figure)

    def median(self, name):
        return statistics.median(self.rounds[name]) if self.rounds.get(name) else None

    def ratio(self, name, other):
        """Of figures that were measured one after the other: the median over the rounds."""
        pairs = list(zip(self.rounds.get(name, []), self.rounds.get(other, [])))
        return statistics.median(left / right for left, right in pairs) if pairs else None

    def suspicious(self, name):
        """Whether that limit is more than twice off what is expected; None: nothing is known of it."""
        entry = self.entries.get(name)
        expected = EXPECTED.get(entry.expected) if entry else None
        measured = self.median(name)
        if expected is None or measured is None:
            return None
        return not expected / 2 <= measured <= expected * 2

    def measurements(self):
        """As rankexec bench --json writes them, of all that is drawn."""
        return [self.measurement(entry) for entry in self.entries.values() if entry.scenario and self.rounds[entry.name]]

    def measurement(self, entry):
        times = sorted(self.rounds[entry.name])
        details = self.details[entry.name]
        result = dict(details[len(details) // 2]) if details else {}
        result.update(scenario=entry.scenario, subject=entry.subject, ranks=entry.ranks, payload_bytes=entry.payload,
                      silence_us=entry.silence_us, in_place=entry.in_place and entry.subject == "rankexec")
        result.setdefault("launcher", "local")
        result.setdefault("transport", "auto")
        if len(times) == 1 and details:
            return result
        result["median"] = statistics.median(times)
        for name, fallback in (("lower_quartile", times[0]), ("upper_quartile", times[-1]), ("minimum", times[0]),
                               ("maximum", times[-1]), ("p99", times[-1])):
            result[name] = statistics.median(detail.get(name, fallback) for detail in details) if details else fallback
        result["samples"] = sum(detail["samples"] for detail in details) if details else len(times)
        return result


def show(text):
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
