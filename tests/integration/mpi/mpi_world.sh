#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# mpi_world.sh RANKEXEC LAUNCHER MPI_PROGRAM
# A real MPI program under `rankexec launch --launcher LAUNCHER` finds its MPI world, and the ranks of
# that world are the ranks of ours; the code of a rank that calls MPI_Abort is the command's, and a supervisor that
# is killed is no such rank.
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

code=0
said=$("$rankexec" launch --launcher "$launcher" -n "$ranks" -- "$program" 17 2>&1) || code=$?
if [ "$code" != 17 ]; then
    printf 'MPI_Abort with 17 gave %s:\n%s\n' "$code" "$said"
    exit 1
fi

code=0
# shellcheck disable=SC2016 # the rank's own variables
said=$("$rankexec" launch --launcher "$launcher" -n "$ranks" -- \
    sh -c 'test "$RANK" != 1 || kill -KILL "$PPID"; sleep 30' 2>&1) || code=$?
if [ "$code" != 125 ]; then
    printf 'a killed supervisor gave %s:\n%s\n' "$code" "$said"
    exit 1
fi
