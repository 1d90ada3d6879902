"""Runs a command to its end and prints, as JSON, what it took: `launcher.py OUTPUT COMMAND…`.

A process of its own, and a small one, for the kernel counts the memory of whoever starts a program as that of the
program. The command's output goes to the file OUTPUT.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    with open(sys.argv[1], "wb") as output:  # noqa: PTH123  # as little as can be is imported here
        began = time.monotonic()
        process = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603  # what this is for
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    figures = {
        "code": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "user": usage.ru_utime,
        "system": usage.ru_stime,
        "memory": usage.ru_maxrss * 1024,
    }
    print(json.dumps(figures))


main()
