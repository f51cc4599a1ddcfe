# SPDX-License-Identifier: Apache-2.0
"""The table of goals: each row compares figures of one run."""

import statistics

from plan import SAME_ADDRESSES

PASS = "pass"


class Row:
    """A row of the table; `ratio` is what a baseline keeps."""

    def __init__(self, row, goal, measured="-", ours="-", reference="-", verdict="MISS: not available", ratio=None):
        self.row, self.goal, self.measured, self.ours, self.reference = row, goal, measured, ours, reference
        self.verdict, self.ratio = verdict, ratio

    def as_json(self):
        return dict(vars(self))


def time_text(microseconds):
    if microseconds is None:
        return "-"
    if microseconds >= 1000:
        return f"{microseconds / 1000:.3g} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.3g} s"
    return f"{microseconds:.3g} us"


def missing(figures, row, goal, *names):
    why = next((figures.missing[name] for name in names if name in figures.missing), "not measured")
    return Row(row, goal, verdict=f"MISS: not available: {why}")


def verdict_of(reached, figures, limits):
    if any(figures.suspicious(name) for name in limits):
        return "MISS: limit suspicious"
    return PASS if reached else "MISS"


def at_most(figures, row, factor, ours, limit, checked=()):
    """Ours costs at most `factor` times what the limit costs; `checked`: limits that are to be as expected, too."""
    goal = f"<= {factor}x the limit"
    ratio = figures.ratio(ours, limit)
    if ratio is None:
        return missing(figures, row, goal, ours, limit)
    verdict = verdict_of(ratio <= factor, figures, (limit, *checked))
    return Row(row, goal, f"{ratio:.2f}x", time_text(figures.median(ours)), time_text(figures.median(limit)), verdict,
               ratio)


def both_ways(figures, row, ranks, ours, limit, checked=(), factor=1.5):
    """A row as started by default and, of several ranks, one at the same addresses."""
    kinds = ("", SAME_ADDRESSES) if ranks > 1 else ("",)
    return [at_most(figures, row + kind, factor, ours + kind, limit, checked) for kind in kinds]


def faster(figures, row, factor, ours, other):
    """Ours is `factor` times as fast as another; above 1 for just faster."""
    goal = f">= {factor}x faster than bare ZeroMQ, ipc" if factor > 1 else "faster than bare ZeroMQ, ipc"
    ratio = figures.ratio(other, ours)
    if ratio is None:
        return missing(figures, row, goal, ours, other)
    verdict = verdict_of(ratio >= factor and ratio > 1, figures, (other,))
    return Row(row, goal, f"{ratio:.2f}x", time_text(figures.median(ours)), time_text(figures.median(other)), verdict,
               1 / ratio)


def absolute(figures, row, name, most):
    time = figures.median(name)
    goal = f"<= {time_text(most)}"
    if time is None:
        return missing(figures, row, goal, name)
    return Row(row, goal, time_text(time), time_text(time), "-", PASS if time <= most else "MISS")


def rate(figures, row, name, least):
    """Of events, of which the measurement has checked that none is missing and that their order is kept."""
    events = figures.median(name)
    goal = f">= {least}, none lost, order kept"
    if events is None:
        return missing(figures, row, goal, name)
    return Row(row, goal, f"{events:.0f}", f"{events:.0f}", "-", PASS if events >= least else "MISS")


def codec(figures):
    ours = statistics.median(pair[0] for pair in figures.codec)
    other = statistics.median(pair[1] for pair in figures.codec)
    ratio = statistics.median(pair[0] / pair[1] for pair in figures.codec)
    return Row("codec: encode + decode, 100 headers", "<= 2x msgpack-c", f"{ratio:.2f}x", time_text(ours / 1000),
               time_text(other / 1000), PASS if ratio <= 2 else "MISS", ratio)


def ranks_text(ranks):
    return f"{ranks} rank" + ("s" if ranks > 1 else "")


def rows(figures):
    """The whole table."""
    table = []
    raw = {ranks: f"ring rank0 {ranks}" for ranks in (1, 4, 8)}
    for ranks in (1, 4, 8, 16, 32):
        checked = (raw[ranks], f"ring codec rank0 {ranks}") if ranks in raw else ()
        table += both_ways(figures, f"round trip, {ranks_text(ranks)}", ranks, f"round-trip {ranks}",
                           f"ring codec {ranks}", checked)
    for ranks in (4, 8):
        table.append(faster(figures, f"round trip, {ranks_text(ranks)}", 8, f"round-trip {ranks}",
                            f"zmq ipc rank0 {ranks}"))
    for milliseconds in (1, 5):
        after = f", after {milliseconds} ms"
        for ranks in (1, 4, 8):
            row = f"round trip, {ranks_text(ranks)}{after}"
            table += both_ways(figures, row, ranks, f"round-trip {ranks}{after}", f"ring codec {ranks}{after}",
                               (f"ring rank0 {ranks}{after}",))
            table.append(faster(figures, row, 1, f"round-trip {ranks}{after}", f"zmq ipc rank0 {ranks}{after}"))
    for ranks in (1, 4, 8, 16, 32):
        table += both_ways(figures, f"answers of all, {ranks_text(ranks)}", ranks, f"all-results {ranks}",
                           f"ring codec all {ranks}", (raw[ranks],) if ranks in raw else ())
    table.append(codec(figures))
    table.append(at_most(figures, "64 MiB to 8 ranks, ordinary", 1.25, "hand-out 8", "payload 8"))
    table.append(absolute(figures, "64 MiB to 8 ranks, built in place", "hand-out in_place 8", 100))
    for kind, text in (("", "ordinary"), (" in_place", "built in place")):
        for ranks in (1, 8):
            table.append(at_most(figures, f"64 MiB to {ranks_text(ranks)} that read it, {text}", 1.25,
                                 f"fan-out{kind} {ranks}", f"payload{kind} read {ranks}"))
    for kind, text in (("", "ordinary"), (" in_place", "built in place")):
        table.append(at_most(figures, f"64 MiB result of one rank, {text}", 1.25, f"gather{kind} 1", f"result{kind} 1"))
    table.append(at_most(figures, "event, rank to parent and back", 2, "events 1", "event"))
    table.append(rate(figures, "events per second, 8 ranks, one way", "event-stream 8", 300_000))
    table.append(at_most(figures, "start of 8 ranks until ready", 2, "start 8", "spawn worker 8", ("spawn bare 8",)))
    table.append(absolute(figures, "finalise of 8 ranks", "stop 8", 10_000))
    table += both_ways(figures, "64 B over tcp, 8 ranks, CURVE", 8, "tcp 8", "zmq tcp 8", factor=1.2)
    return table


def print_table(table, baseline):
    """`baseline`: ratio by row and goal, of an earlier run."""
    cells = [("row", "goal", "measured", "rankexec", "compared with", "baseline", "verdict")]
    for row in table:
        kept = baseline.get(key(row))
        kept = f"{kept:.2f}x" if kept else "-"
        cells.append((row.row, row.goal, row.measured, row.ours, row.reference, kept, row.verdict))
    widths = [max(len(line[column]) for line in cells) for column in range(7)]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    reached = sum(row.verdict == PASS for row in table)
    print(f"\n{reached} of {len(table)} goals reached")


def key(row):
    return f"{row.row}: {row.goal}"


def regressions(table, baseline, tolerance=1.25):
    """Rows whose ratio has grown beyond the tolerance."""
    return [row for row in table if row.ratio and key(row) in baseline and row.ratio > baseline[key(row)] * tolerance]
