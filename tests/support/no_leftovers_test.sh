#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# no_leftovers_test.sh NO_LEFTOVERS
# The harness has to catch what tests leave behind, and must not invent anything.
# shellcheck disable=SC2016  # the variables are those of the shells that the harness starts
set -u
harness=$1
failures=0
message=$(mktemp)
trap 'rm -f "$message"' EXIT

# expect CODE TEXT OPTION... -- COMMAND...: exit code, and TEXT in what the harness says (- : silence)
expect() {
    local code=$1 text=$2
    shift 2
    "$harness" --settle 200 "$@" 2>"$message"
    local got=$?
    if [ "$got" -ne "$code" ]; then
        echo "FAILED: exit code $got instead of $code: $*"
        failures=$((failures + 1))
    elif [ "$text" = - ] && [ -s "$message" ]; then
        echo "FAILED: expected silence: $*"
        failures=$((failures + 1))
    elif [ "$text" != - ] && ! grep -q -- "$text" "$message"; then
        echo "FAILED: expected '$text': $*"
        failures=$((failures + 1))
    else
        return
    fi
    sed 's/^/    /' "$message"
}

# Exit codes and signals are the test's own.
expect 0 - -- true
expect 3 - -- sh -c 'exit 3'
expect 127 'cannot start' -- ./no-such-program
expect 126 'cannot start' -- /
expect 139 - -- sh -c 'kill -SEGV $$' 2>/dev/null
# A signal to the test's process group reaches nobody else.
expect 137 - -- sh -c 'kill -KILL 0' 2>/dev/null

for mode in '' --no-namespaces; do
    # A process that ends in time is none that was left; a reaped orphan is none either.
    expect 0 - $mode --settle 30000 -- sh -c 'sleep 0.05 & setsid sleep 0.05 & exit 0'
    expect 97 'sleep 1001' $mode -- sh -c 'sleep 1001 & exit 0'
    expect 97 'sleep 1002' $mode -- sh -c '(setsid sleep 1002 &) & exit 0'
    expect 97 'sleep 1003' $mode -- sh -c 'env -i setsid nohup sh -c "sleep 1003 & wait" >&- 2>&- & exit 0'
    expect 97 'file .*/kept' $mode -- sh -c 'touch "${TMPDIR:-/tmp}/kept"'
    expect 97 'directory .*/kept' $mode -- sh -c 'mkdir "${TMPDIR:-/tmp}/kept"'
    expect 0 - $mode --ignore 'kept*' -- sh -c 'touch "${TMPDIR:-/tmp}/kept-1"'
    # A report of a sanitizer, whichever process wrote it, is shown.
    for sanitizer in ASAN UBSAN TSAN; do
        expect 97 'a race, say' $mode --reports -- sh -c 'echo a race, say >"${'$sanitizer'_OPTIONS##*log_path=}.7"'
    done
    # The exit code of a failed test is not replaced.
    expect 5 'sleep 1004' $mode -- sh -c 'sleep 1004 & exit 5'
done

# What ordinary users can do in a place where namespaces are permitted.
namespaces=false
"$harness" -- sh -c '[ $$ -lt 10 ]' && namespaces=true
if $namespaces; then
    expect 97 'file /dev/shm/kept' -- sh -c 'touch /dev/shm/kept'
    expect 97 'file /var/tmp/kept' -- sh -c 'touch /var/tmp/kept'
    expect 97 'System V shm' -- ipcmk -M 4096 >/dev/null
    expect 97 'socket /tmp/kept' -- /usr/bin/python3 -c \
        'import socket; s = socket.socket(socket.AF_UNIX); s.bind("/tmp/kept"); s.listen()'
    mkdir -p /tmp/one/two
    touch /tmp/one/two/visible /tmp/one/hidden
    expect 0 - --keep /tmp/one/two -- sh -c '[ -e /tmp/one/two/visible ] && ! [ -e /tmp/one/hidden ]'
    expect 97 'file /tmp/one/three' --keep /tmp/one/two -- sh -c 'touch /tmp/one/three'
    rm -r /tmp/one
fi
if "$harness" --private-net -- true 2>/dev/null; then
    expect 0 - --private-net -- sh -c 'ip link show lo | grep -q UP'
    expect 97 'network device.*left0' --private-net -- ip link add left0 type veth peer name left1
    expect 97 'file /run/netns/left' --private-net -- ip netns add left
    # As root, so a home directory of mode 0700 may hold what ordinary users are to run.
    mount -t tmpfs -o mode=0700 tmpfs /mnt
    mkdir /mnt/kept
    touch /mnt/kept/visible /mnt/hidden
    other=(setpriv --reuid=54321 --regid=54321 --clear-groups)
    expect 1 - --keep /mnt/kept -- "${other[@]}" test -e /mnt/kept/visible
    expect 0 - --keep /mnt/kept --searchable -- "${other[@]}" test -e /mnt/kept/visible
    expect 1 - --keep /mnt/kept --searchable -- "${other[@]}" test -e /mnt/hidden
    umount /mnt
fi

# A signal sent to the harness reaches the test; killing the harness kills everything below it (where it
# has a process namespace).
coproc "$harness" -- sh -c 'trap "exit 6" TERM; echo started; while :; do sleep 0.01; done'
pid=$COPROC_PID
read -r _ <&"${COPROC[0]}"
kill -TERM "$pid"
wait "$pid"
[ $? -eq 6 ] || { echo "FAILED: SIGTERM was not passed on"; failures=$((failures + 1)); }

if $namespaces; then
    coproc "$harness" -- sh -c 'setsid sh -c "sleep 1005; :" & echo started; wait'
    pid=$COPROC_PID
    exec {output}<&"${COPROC[0]}"
    read -r _ <&"$output"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    # End of file comes when the last process below is gone; ctest's time-out is the bound.
    read -r _ <&"$output"
    exec {output}<&-
fi

[ "$failures" -eq 0 ] && echo "all as expected"
exit $((failures > 0))
