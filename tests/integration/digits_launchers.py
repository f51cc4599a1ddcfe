#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the digits job, unchanged, directly and with given options, and compares.

    digits_launchers.py RANKEXEC JOB.toml [hosts=A,B] [OPTION of rankexec run...]

Both runs must print a held-out accuracy that their saved model really has, and both models must see
the same digit in every image. With hosts=, the second run's table must name exactly these hosts.
Options may name environment variables as $NAME.
"""
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import digits_check  # pylint: disable=wrong-import-position

RANKS = 4


def run(rankexec, job, options, model):
    """Runs the job; returns the file that holds what it printed."""
    output = model + ".txt"
    command = [rankexec, "run", *options, "--save", model, job]
    with open(output, "w", encoding="utf-8") as stdout:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stdout, check=False).returncode
    with open(output, encoding="utf-8") as stdout:
        text = stdout.read()
    if code != 0:
        sys.exit(f"{' '.join(command)}: exit code {code}\n{text}")
    return output


def check_hosts(output, expected):
    """The table of the ranks begins each row with rank, host and process id."""
    with open(output, encoding="utf-8") as printed:
        rows = re.findall(r"^ *\d+ +([\w.-]+) +\d+ ", printed.read(), re.MULTILINE)
    hosts = [host for host in rows if not re.fullmatch(r"[\d.]+", host)]
    if len(hosts) != RANKS or set(hosts) != set(expected):
        sys.exit(f"the ranks were on {hosts}, expected {expected}")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    rankexec, job = (os.path.realpath(path) for path in sys.argv[1:3])
    hosts = None
    if len(sys.argv) > 3 and sys.argv[3].startswith("hosts="):
        hosts = sys.argv.pop(3).partition("=")[2].split(",")
    options = [os.path.expandvars(option) for option in sys.argv[3:]]
    data = os.path.join(os.path.dirname(job), "digits.csv")
    with tempfile.TemporaryDirectory(prefix="rankexec-digits-") as folder:
        models = [os.path.join(folder, name) for name in ("direct.npz", "other.npz")]
        for model, chosen in zip(models, (["--launcher", "local"], options)):
            output = run(rankexec, job, [*chosen, "-n", str(RANKS)], model)
            digits_check.check_accuracy(data, model, output)
        if hosts:
            check_hosts(output, hosts)
        digits_check.check_same(data, *models)


if __name__ == "__main__":
    main()
