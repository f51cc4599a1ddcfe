# SPDX-License-Identifier: Apache-2.0
"""process_pool.py RANKS BYTES REPETITIONS

concurrent.futures: as many tasks as processes, until all have been answered."""

import concurrent.futures

import peer


def main():
    ranks, payload_bytes, repetitions = peer.arguments()
    with concurrent.futures.ProcessPoolExecutor(ranks) as pool:
        times = peer.measure_pool(pool, ranks, peer.message(payload_bytes), repetitions)
    peer.tell("concurrent.futures", ranks, payload_bytes, times)


if __name__ == "__main__":
    main()
