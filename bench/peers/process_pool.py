# SPDX-License-Identifier: Apache-2.0
"""process_pool.py RANKS BYTES REPETITIONS

concurrent.futures: as many tasks as processes, until all have been answered."""

import concurrent.futures

import peer


def main():
    ranks, payload_bytes, repetitions = peer.arguments()
    with concurrent.futures.ProcessPoolExecutor(ranks) as pool:
        def once(task):
            concurrent.futures.wait([pool.submit(peer.answer, task) for _ in range(ranks)])

        times = peer.measure(once, peer.message(payload_bytes), repetitions)
    peer.tell("concurrent.futures", ranks, payload_bytes, times)


if __name__ == "__main__":
    main()
