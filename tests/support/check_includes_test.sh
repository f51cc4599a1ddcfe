#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check_includes_test.sh SOURCE
# The repository passes scripts/check-includes, and trees with one mistake each do not.
set -u
check=$1/scripts/check-includes
failures=0
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

"$check" || failures=1

# refuses FILE TEXT LINE...: a tree in which FILE holds these lines is refused, saying TEXT
refuses() {
    local file=$tree/$1 text=$2
    shift 2
    mkdir -p "$tree/core/model" "$tree/core/cli" "$(dirname "$file")"
    printf '// SPDX-License-Identifier: Apache-2.0\n#pragma once\n' |
        tee "$tree/core/model/value.hpp" >"$tree/core/cli/cli.hpp"
    printf '%s\n' "$@" >"$file"
    local said
    if said=$("$check" "$tree") || ! grep -qF "$text" <<<"$said"; then
        echo "FAILED: expected '$text', got: $said"
        failures=1
    fi
    rm -r "${tree:?}"/*
}
licence='// SPDX-License-Identifier: Apache-2.0'
refuses core/system/a.cpp 'core/system must not include core/cli' "$licence" '#include "rankexec/core/cli/cli.hpp"'
refuses worker/a.cpp 'worker must not include core/cli' "$licence" '  #  include <rankexec/core/cli/cli.hpp>'
refuses core/model/a.cpp 'a.cpp:2: rankexec/core/model/no.hpp does not exist' "$licence" '#include "rankexec/core/model/no.hpp"'
refuses core/model/a.cpp 'is not beside the file' "$licence" '#include "no.hpp"'
refuses core/executor/a.cpp '<zmq.hpp> belongs into ipc/transport or ipc/hub only' "$licence" '#include <zmq.hpp>'
refuses ipc/channel/a.cpp '<zmq.h> belongs into' "$licence" '#include <zmq.h>'
refuses core/launch/a.cpp '<boost/process.hpp> belongs into' "$licence" '#include <boost/process.hpp>'
refuses core/process/host/a.cpp '<boost/process/child.hpp> belongs into core/process only' "$licence" '#include <boost/process/child.hpp>'
refuses ipc/transport/a.cpp '<msgpack.hpp> belongs into' "$licence" '#include <msgpack.hpp>'
refuses core/other/a.cpp 'its folder is in no table' "$licence"
refuses core/model/a.cpp "not the licence's identifier" '#include <vector>'
refuses core/model/a.hpp 'without #pragma once' "$licence" 'int a();'
exit "$failures"
