#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# as_ordinary_user.sh TEST_PROGRAM GUARDIAN LIBRARY...
#
# Runs the process tests again as a user without any privilege: no cgroup can be made then, and
# containment rests on the subreaper and the run id alone. From a copy, because that user may not
# enter the build folder.
set -eu

program=$1
guardian=$2
shift 2
if [ "$(id -u)" != 0 ]; then
    exit 0 # the tests themselves have just been run that way
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/tmp"
cp "$program" "$guardian" "$@" "$folder"
for library in "$@"; do
    # The names that the programs ask for end after the major version.
    name=$(basename "$library")
    ln -sf "$name" "$folder/${name%.*.*}"
done
chmod 755 "$folder"
chmod 777 "$folder/tmp"
cd /
LD_LIBRARY_PATH="$folder" RANKEXEC_PROGRAM_DIR="$folder" TMPDIR="$folder/tmp" \
    setpriv --reuid 65534 --regid 65534 --clear-groups "$folder/$(basename "$program")" --gtest_brief=1 \
    --gtest_filter=-Unkillable.*:OutOfMemory.IsTold*:DirectGroup.RanksAreInTheGroupsControlGroup*
