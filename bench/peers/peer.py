# SPDX-License-Identifier: Apache-2.0
"""What the Python peers share: the message, the clock, and how they tell their figures."""

import concurrent.futures
import json
import statistics
import sys
import time


def message(payload_bytes):
    """What our small task has: four headers, ten properties; and bytes."""
    return {"task": "echo", "headers": {f"header_{index}": f"value {index}" for index in range(4)},
            "properties": {f"property_{index}": index for index in range(10)},
            "payload": bytearray(payload_bytes)}


def read_all(payload):
    """As fast as memory can be read."""
    if len(payload) < 8:
        return 0
    import numpy
    return int(numpy.frombuffer(payload, dtype=numpy.uint64, count=len(payload) // 8).sum())


def answer(task):
    """What a rank does: reads a payload, or sends the headers back."""
    if len(task["payload"]) > 64:
        return {"checksum": read_all(task["payload"])}
    return {"headers": task["headers"]}


def measure(once, task, repetitions):
    """Microseconds of each repetition; contents are new each time."""
    times = []
    for repetition in range(-max(1, repetitions // 10), repetitions):
        payload = task["payload"]
        payload[::4096] = bytes([repetition % 256]) * len(payload[::4096])
        begin = time.perf_counter()
        once(task)
        if repetition >= 0:
            times.append((time.perf_counter() - begin) * 1e6)
    return times


def measure_pool(pool, ranks, task, repetitions):
    """As measure(), with as many tasks as processes of a concurrent.futures executor."""
    def once(task):
        concurrent.futures.wait([pool.submit(answer, task) for _ in range(ranks)])

    return measure(once, task, repetitions)


def tell(subject, ranks, payload_bytes, times):
    lower, median, upper = statistics.quantiles(times, n=4) if len(times) > 1 else times * 3
    print(json.dumps({"subject": subject, "scenario": "fan-out" if payload_bytes > 64 else "round-trip", "ranks": ranks,
                      "payload_bytes": payload_bytes if payload_bytes > 64 else 0, "samples": len(times),
                      "lower_quartile": lower, "median": median, "upper_quartile": upper, "maximum": max(times),
                      "minimum": min(times), "unit": "us"}))


def arguments():
    """RANKS BYTES REPETITIONS"""
    ranks, payload_bytes, repetitions = (int(word) for word in sys.argv[1:4])
    return ranks, payload_bytes, repetitions
