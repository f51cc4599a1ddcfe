# SPDX-License-Identifier: Apache-2.0
"""mpiexec -n RANKS+1 python3 -m mpi4py.futures mpi4py_pool.py RANKS BYTES REPETITIONS

mpi4py.futures: as many tasks as processes, until all have been answered."""

import peer


def main():
    from mpi4py.futures import MPIPoolExecutor
    ranks, payload_bytes, repetitions = peer.arguments()
    with MPIPoolExecutor(ranks) as pool:
        times = peer.measure_pool(pool, ranks, peer.message(payload_bytes), repetitions)
    peer.tell("mpi4py.futures", ranks, payload_bytes, times)


if __name__ == "__main__":
    main()
