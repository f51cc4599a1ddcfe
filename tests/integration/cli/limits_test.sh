#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limits_test.sh BIN SOURCE: every limit program and peer says a number above 0, and scripts/bench's run its table; no time
# is judged. That nothing is left is what the harness around this test checks.
set -euo pipefail
bin=$1 source=$2
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# expect_number COMMAND...
expect_number() {
    local said
    said=$("$@")
    [[ $said =~ ^[0-9]+\.[0-9]+$ && $said != 0.0* ]] || { echo "failed: $* said '$said'"; exit 1; }
}
for words in "" codec "codec rank0" "codec all"; do
    # shellcheck disable=SC2086  # several words
    expect_number "$bin/rankexec-ring-limit" 3 50 0 $words
done
for words in "" read in_place "in_place read"; do
    # shellcheck disable=SC2086
    expect_number "$bin/rankexec-payload-limit" 2 100000 5 $words
done
expect_number "$bin/rankexec-result-limit" 2 100000 5
expect_number "$bin/rankexec-result-limit" 2 100000 5 in_place
expect_number "$bin/rankexec-event-limit" 50
expect_number "$bin/rankexec-spawn-limit" 3 2 "$bin/rankexec-bare-program"
expect_number "$bin/rankexec-spawn-limit" 3 2 "$bin/rankexec-bench-worker" --one-byte
expect_number "$bin/rankexec-zmq-limit" ipc 3 64 20 0 rank0
expect_number "$bin/rankexec-zmq-limit" tcp 3 64 20 0 curve hand_over
for peer in mp_connection process_pool; do
    /usr/bin/python3 -B "$source/bench/peers/$peer.py" 2 64 5 | /usr/bin/python3 -c 'import json, sys; json.load(sys.stdin)["median"]'
done
cd "$out"
/usr/bin/python3 -B "$source/bench/harness/run.py" --quick --rounds 1 --only "round-trip 1" --build "$(dirname "$bin")" --out "$out" >table
grep -q '^round trip, 1 rank ' table
grep -q 'goals reached$' table
[ -s bench.json ] && [ -s report.html ] && [ -s plots/round-trip.svg ]
