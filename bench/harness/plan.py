# SPDX-License-Identifier: Apache-2.0
"""What is measured: every entry is one figure, by a name of its own, and a function that gives it once."""

import dataclasses
import typing

MIB = 1 << 20
PAYLOAD = 64 * MIB
SAME_ADDRESSES = ", same addresses"
WITHOUT_RANDOM = ("setarch", "-R")


@dataclasses.dataclass
class Entry:
    name: str
    measure: typing.Callable  # gives microseconds, or a measurement of rankexec bench
    scenario: str = ""        # how it is drawn; empty: not at all
    subject: str = "rankexec"
    ranks: int = 1
    payload: int = 0
    silence_us: int = 0
    in_place: bool = False
    expected: str = ""        # its name among the expected figures
    rounds: int = 0           # 0: as often as all others


def limit(name, words, scenario, ranks, program="ring", **more):
    more.setdefault("subject", "limit")
    return Entry(name, lambda programs: programs.limit(program, *words), scenario, ranks=ranks, expected=name, **more)


def ours(name, words, scenario, ranks, **more):
    return Entry(name, lambda programs: programs.ours("--scenario", scenario, "-n", str(ranks), *words), scenario,
                 ranks=ranks, **more)


def at_same_addresses(name, words, scenario, ranks, **more):
    """Without randomised addresses, as setarch(8) starts it: the limit's processes are forks of one, and so have theirs
    in common."""
    return Entry(f"{name}{SAME_ADDRESSES}", lambda programs: programs.ours(
        "--scenario", scenario, "-n", str(ranks), *words, before=WITHOUT_RANDOM), scenario,
                 "rankexec, same addresses", ranks, **more)


def round_trips(quick):
    few = "1000" if quick else "3000"
    # What the table compares is the steady state; that a group needs a while to get there is told beside it.
    steady = ["--warm-up", "5000", "--repetitions", few]
    for ranks in (1, 4, 8, 16, 32):
        yield limit(f"ring codec {ranks}", [ranks, few, 0, "codec"], "round-trip", ranks)
        yield ours(f"round-trip {ranks}", steady, "round-trip", ranks)
        if ranks > 1:
            yield at_same_addresses(f"round-trip {ranks}", steady, "round-trip", ranks)
        yield limit(f"ring codec all {ranks}", [ranks, few, 0, "codec", "all"], "all-results", ranks)
        yield ours(f"all-results {ranks}", steady, "all-results", ranks)
        if ranks > 1:
            yield at_same_addresses(f"all-results {ranks}", steady, "all-results", ranks)
    for ranks in (1, 4, 8):
        yield limit(f"ring rank0 {ranks}", [ranks, few, 0, "rank0"], "", ranks)
        yield limit(f"ring codec rank0 {ranks}", [ranks, few, 0, "codec", "rank0"], "", ranks)
        yield limit(f"zmq ipc rank0 {ranks}", ["ipc", ranks, 64, few, 0, "rank0"], "round-trip", ranks, "zmq",
                    subject="bare ZeroMQ, ipc")
        yield Entry(f"first tasks {ranks}", lambda programs, ranks=ranks: programs.ours(
            "--scenario", "round-trip", "-n", str(ranks), "--warm-up", "0", "--repetitions", "300"), ranks=ranks)
        yield ours(f"round-trip zeromq {ranks}", ["--transport", "zeromq", "--repetitions", few], "round-trip", ranks)


def silences(quick):
    for milliseconds in (1, 5):
        few = str((60 if quick else 200) // milliseconds + 20)
        for ranks in (1, 4, 8):
            silence = milliseconds * 1000
            more = {"silence_us": silence}
            after = f", after {milliseconds} ms"
            yield limit(f"ring codec {ranks}{after}", [ranks, few, silence, "codec"], "round-trip", ranks, **more)
            words = ["--silence", str(milliseconds), "--repetitions", few]
            yield ours(f"round-trip {ranks}{after}", words, "round-trip", ranks, **more)
            if ranks > 1:
                yield at_same_addresses(f"round-trip {ranks}{after}", words, "round-trip", ranks, **more)
            yield limit(f"zmq ipc rank0 {ranks}{after}", ["ipc", ranks, 64, few, silence, "rank0"], "round-trip", ranks,
                        "zmq", subject="bare ZeroMQ, ipc", **more)
            yield limit(f"ring rank0 {ranks}{after}", [ranks, few, silence, "rank0"], "", ranks)


def tensors(quick):
    few = "5" if quick else "10"
    for placement, word in ((False, []), (True, ["in_place"])):
        kind = " in_place" if placement else ""
        subject = "limit, in place" if placement else "limit"
        more = {"payload": PAYLOAD, "in_place": placement}
        option = ["--payload", str(PAYLOAD), "--repetitions", few] + (["--placement", "in-place"] if placement else [])
        yield limit(f"payload{kind} 8", [8, PAYLOAD, few, *word], "hand-out", 8, "payload", subject=subject, **more)
        yield ours(f"hand-out{kind} 8", option, "hand-out", 8, **more)
        for ranks in (1, 8):
            yield limit(f"payload{kind} read {ranks}", [ranks, PAYLOAD, few, *word, "read"], "fan-out", ranks, "payload",
                        subject=subject, **more)
            yield ours(f"fan-out{kind} {ranks}", option, "fan-out", ranks, **more)
        yield limit(f"result{kind} 1", [1, PAYLOAD, few, *word], "gather", 1, "result", subject=subject, **more)
        yield ours(f"gather{kind} 1", option, "gather", 1, **more)


def sizes(quick):
    """Costs against bytes, for a plot."""
    for size in (64, 4096, 65536, MIB, 16 * MIB, 256 * MIB):
        few = str(max(3, min(300, (256 * MIB) // size)))
        more = {"payload": size, "rounds": 1}
        yield limit(f"payload read 8, {size}", [8, size, few, "read"], "fan-out", 8, "payload", **more)
        yield limit(f"payload in_place read 8, {size}", [8, size, few, "in_place", "read"], "fan-out", 8, "payload",
                    subject="limit, in place", **more)
        option = ["--payload", str(size), "--repetitions", few]
        yield ours(f"fan-out 8, {size}", option, "fan-out", 8, **more)
        yield ours(f"fan-out in_place 8, {size}", option + ["--placement", "in-place"], "fan-out", 8, in_place=True,
                   **more)
        if size <= 16 * MIB or not quick:
            yield ours(f"fan-out zeromq 8, {size}", option + ["--transport", "zeromq"], "fan-out", 8, **more)


def rest(quick):
    few = "5" if quick else "10"
    yield limit("event", [2000], "events", 1, "event")
    yield ours("events 1", ["--repetitions", "3"], "events", 1)
    yield ours("event-rate 8", ["--repetitions", "3"], "event-rate", 8)
    yield ours("event-stream 8", ["--repetitions", "5"], "event-stream", 8)
    for ranks in (1, 4, 8):
        yield Entry(f"spawn bare {ranks}", lambda programs, ranks=ranks: programs.bare_start(ranks, few), "start",
                    "limit, a bare C++ program", ranks, expected=f"spawn bare {ranks}")
        yield Entry(f"spawn worker {ranks}", lambda programs, ranks=ranks: programs.worker_start(ranks, few), "start",
                    "limit, the worker binary", ranks)
        yield ours(f"start {ranks}", ["--repetitions", few], "start", ranks)
        yield ours(f"stop {ranks}", ["--repetitions", few], "stop", ranks)
    yield ours("death 8", ["--repetitions", few, "--warm-up", "0"], "death", 8)
    yield limit("zmq tcp 8", ["tcp", 8, 64, 500, 0, "curve", "hand_over"], "", 8, "zmq")
    yield Entry("tcp 8", lambda programs: programs.ours_over_tcp("8", "500"), "", ranks=8)
    yield Entry(f"tcp 8{SAME_ADDRESSES}", lambda programs: programs.ours_over_tcp("8", "500", WITHOUT_RANDOM), "", ranks=8)


def peers(quick):
    for ranks, payload, few in ((1, 64, 500), (4, 64, 300), (8, 64, 300), (8, 16 * MIB, 3), (8, PAYLOAD, 3)):
        if quick and payload == PAYLOAD:
            few = 2
        words = (ranks, payload, few)
        scenario = "round-trip" if payload == 64 else "fan-out"
        more = {"ranks": ranks, "payload": 0 if payload == 64 else payload, "rounds": 1}
        for subject, measure in (
                ("multiprocessing + pickle", lambda programs, w=words: programs.python_peer("mp_connection.py", *w)),
                ("concurrent.futures", lambda programs, w=words: programs.python_peer("process_pool.py", *w)),
                ("mpi4py.futures", lambda programs, w=words: programs.mpi4py(*w)),
                ("Open MPI broadcast", lambda programs, w=words: programs.broadcast(*w))):
            yield Entry(f"{subject} {ranks}, {payload}", measure, scenario, subject, **more)


def entries(quick):
    return [entry for part in (round_trips, silences, tensors, rest, sizes, peers) for entry in part(quick)]
