#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mpi_world.sh RANKEXEC LAUNCHER MPI_PROGRAM
# A real MPI program under `rankexec launch --launcher LAUNCHER` finds its MPI world, and the ranks of
# that world are the ranks of ours.
set -euo pipefail
rankexec=$1 launcher=$2 program=$3
ranks=3

output=$("$rankexec" launch --launcher "$launcher" -n "$ranks" -- "$program" | sort)
expected=$(for ((rank = 0; rank < ranks; rank++)); do
    echo "mpi rank $rank of $ranks, RANK $rank of $ranks, sum $((ranks * (ranks - 1) / 2))"
done)
if [ "$output" != "$expected" ]; then
    printf 'expected:\n%s\nfound:\n%s\n' "$expected" "$output"
    exit 1
fi
echo "$output"
