#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# trainer.sh DATA: lets train.py work for an executor, which launches `rankexec agent run -- ./trainer.sh digits.csv`
set -euo pipefail
data=$(realpath "$1") script=$(dirname "$(realpath "$0")")/train.py folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
while rankexec agent get-task --into "$folder/task" >"$folder/task.json"; do
    case $(sed -n 's/^  "name": "\(.*\)",$/\1/p' "$folder/task.json") in
    train) arguments=(--save "$folder/task") ;;
    validate) arguments=(--epochs 0) ;;
    esac
    "$script" --data "$data" --load "$folder/task" --metrics "$folder/figures" "${arguments[@]}" |
        while read -ra figures; do rankexec agent log "${figures[@]}"; done
    echo "{\"body\": $(cat "$folder/figures")}" >"$folder/task/result.json"
    rankexec agent submit-result "$folder/task"
done
