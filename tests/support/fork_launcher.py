#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The simplest launcher there could be: fork_launcher.py N PROGRAM [ARGUMENT...]

Starts PROGRAM N times, each in a session of its own, with RANK and WORLD_SIZE set, and exits with the
first code that is not 0, or 1 for a signal, once all have ended.
"""

import os
import subprocess
import sys

count = int(sys.argv[1])
ranks = [
    subprocess.Popen(
        sys.argv[2:],
        env=dict(os.environ, RANK=str(rank), WORLD_SIZE=str(count)),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    for rank in range(count)
]
codes = [rank.wait() for rank in ranks]
sys.exit(next((code if code > 0 else 1 for code in codes if code != 0), 0))
