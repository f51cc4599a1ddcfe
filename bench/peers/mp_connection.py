# SPDX-License-Identifier: Apache-2.0
"""mp_connection.py RANKS BYTES REPETITIONS

A parent that sends a pickled task to each of several processes over multiprocessing.connection and then collects the
answers: what many Python programs with a group of workers do."""

import multiprocessing
import os
from multiprocessing.connection import Client, Listener

import peer


def rank_main(address):
    with Client(address) as parent:
        while (task := parent.recv()) is not None:
            parent.send(peer.answer(task))


def main():
    ranks, payload_bytes, repetitions = peer.arguments()
    with Listener(f"\0rankexec-peer-{os.getpid()}", backlog=ranks) as listener:  # without a file
        processes = [multiprocessing.Process(target=rank_main, args=(listener.address,)) for _ in range(ranks)]
        for process in processes:
            process.start()
        connections = [listener.accept() for _ in processes]

        def once(task):
            for connection in connections:
                connection.send(task)
            for connection in connections:
                connection.recv()

        times = peer.measure(once, peer.message(payload_bytes), repetitions)
        for connection in connections:
            connection.send(None)
        for process in processes:
            process.join()
    peer.tell("multiprocessing + pickle", ranks, payload_bytes, times)


if __name__ == "__main__":
    main()
