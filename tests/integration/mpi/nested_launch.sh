#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# nested_launch.sh RANKEXEC NAME COMMAND...
# A local launch inside one rank of another job, which COMMAND starts (it gets a program to run as its
# last arguments), takes none of that job's rank variables for its own.
set -euo pipefail
rankexec=$1
shift

# In every rank of the surrounding job: two ranks of ours, which say what they find.
# shellcheck disable=SC2016  # expanded there, not here
inner='"$0" launch -n 2 -- sh -c '\''
    echo "RANK=$RANK WORLD_SIZE=$WORLD_SIZE LOCAL_RANK=$LOCAL_RANK LOCAL_WORLD_SIZE=$LOCAL_WORLD_SIZE"
    env | grep -E "^(OMPI_COMM_|PMIX_RANK|PMI_RANK|PMI_FD|SLURM_PROCID|SLURM_LOCALID|SLURM_STEP_ID|TORCHELASTIC_)" || true
'\'''
output=$("$@" sh -c "$inner" "$rankexec" | sort | uniq)
expected='RANK=0 WORLD_SIZE=2 LOCAL_RANK=0 LOCAL_WORLD_SIZE=2
RANK=1 WORLD_SIZE=2 LOCAL_RANK=1 LOCAL_WORLD_SIZE=2'
if [ "$output" != "$expected" ]; then
    printf 'expected:\n%s\nfound:\n%s\n' "$expected" "$output"
    exit 1
fi
